"""Files in forms: streamed to disk up to the cap of their field, and not a byte further."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from project.core.errors import BadRequest

SIZES = ((1_000_000, "MB"), (1_000, "kB"), (1, "bytes"))


@dataclass(frozen=True)
class FileLimits:
    """`photo: Annotated[UploadFile, FileLimits(2_000_000, "image/png", "image/jpeg")]`.

    Args:
        max_size: bytes; what comes beyond is thrown away unread by anybody, and the field refused.
        accept: media types, as the browser declares them (`image/*` for a family); none means any.
    """

    max_size: int
    accept: tuple[str, ...] = ()

    def __init__(self, max_size: int, *accept: str) -> None:
        object.__setattr__(self, "max_size", max_size)
        object.__setattr__(self, "accept", accept)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        size = readable(self.max_size)
        return handler(schema) | {
            "maxSize": self.max_size,
            "limits": f"{self._types}, at most {size}." if self.accept else f"At most {size}.",
            **({"accept": ",".join(self.accept)} if self.accept else {}),
        }

    def _check(self, given: Any) -> Any:
        for file in given if isinstance(given, list) else [given]:
            self._check_one(file)
        return given

    def _check_one(self, file: UploadFile) -> None:
        if (file.size or 0) > self.max_size:
            text = "Choose a file of at most {most}."
            raise PydanticCustomError("file_too_large", text, {"most": readable(self.max_size)})
        kind = (file.content_type or "").partition(";")[0].strip()
        family = f"{kind.partition('/')[0]}/*"
        if self.accept and not {kind, family} & set(self.accept):
            raise PydanticCustomError("file_type", "Choose a file of this type: {types}.", {"types": self._types})

    @property
    def _types(self) -> str:
        """`image/png`, `text/*` → `PNG or any text`."""
        parts = [accepted.partition("/") for accepted in self.accept]
        return " or ".join(f"any {family}" if kind == "*" else kind.upper() for family, _, kind in parts)


def readable(size: int) -> str:
    """`2500000` → `2.5 MB`."""
    unit, name = next(each for each in SIZES if size >= each[0] or each[0] == 1)
    return f"{size / unit:.3g} {name}"


class _Parser(MultiPartParser):
    """Starlette's parser with a cap for each file field; a file that no field asks for is refused."""

    def __init__(self, request: Request, caps: Mapping[str, int], *, max_text: int, **limits: int) -> None:
        super().__init__(request.headers, request.stream(), **limits)
        self._caps = caps
        self._sizes: dict[UploadFile, int] = {}
        self._text, self._most_text = 0, max_text

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        if self._current_part.file is not None and self._current_part.field_name not in self._caps:
            raise MultiPartException("This form asks for no such file.")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        file = self._current_part.file
        if file is None:
            self._text += end - start
            if self._text > self._most_text:
                raise MultiPartException("This form has too much text.")
        else:
            self._sizes[file] = self._sizes.get(file, 0) + end - start
            if self._sizes[file] > self._caps[self._current_part.field_name]:
                return
        super().on_part_data(data, start, end)

    async def parse(self) -> FormData:
        form = await super().parse()
        for file, size in self._sizes.items():
            file.size = size
        return form


async def read_multipart(request: Request, caps: Mapping[str, int], **limits: int) -> FormData:
    """The posted form with its files: each holds at most its field's cap, and knows by `size` how long it was.

    `limits` are max_files, max_fields, and max_text in bytes. Raises BadRequest for a body that cannot be read,
    has too much text, or brings a file that nobody asked for.
    """
    try:
        return await _Parser(request, caps, **limits).parse()
    except MultiPartException as error:
        raise BadRequest(error.message) from None


def only_files(posted: Sequence[Any]) -> list[UploadFile]:
    """The files that were really chosen: a browser sends an empty one for an empty field."""
    return [each for each in posted if isinstance(each, UploadFile) and each.filename]
