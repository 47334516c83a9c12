"""An app that notes how late the loop of its process is."""
