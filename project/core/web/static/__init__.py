"""Static files: where they come from, how they are collected, how they are answered."""
