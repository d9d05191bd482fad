"""Reading picture files: what is refused is refused in one line that says what to do."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import ReinvertError

_OPAQUE = 255
_MODES = {"RGB", "L", "1", "P", "RGBA", "LA", "PA"}


def open_picture(path: Path) -> Image.Image:
    """The decoded picture, upright as the camera noted.

    Raises:
        ReinvertError: it cannot be read, or holds several pictures.
    """
    if path.is_dir():
        raise ReinvertError(f"'{path}' is a folder; name picture files")
    try:
        # Pillow warns of huge pictures before it refuses still larger ones: to a user both are the same mistake.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(path)
            _require_one(picture, path)
            picture.load()
            return ImageOps.exif_transpose(picture)
    except FileNotFoundError as error:
        raise ReinvertError(f"'{path}' not found; check the name") from error
    except PermissionError as error:
        raise ReinvertError(f"'{path}' may not be read; change its permissions") from error
    except UnidentifiedImageError as error:
        raise ReinvertError(f"'{path}' is not an image; use a PNG or JPEG file") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ReinvertError(f"'{path}' has too many pixels; scale it down first") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what the decoders raise on broken data
        raise ReinvertError(f"'{path}' is truncated or damaged ({error}); get the file again") from error


def require_head(picture: Image.Image, path: Path) -> None:
    """Refuse by its head alone what `open_picture` or `to_rgb` would refuse once it is decoded.

    Raises:
        ReinvertError: several pictures in one file, CMYK or 16 bits.
    """
    _require_one(picture, path)
    _require_mode(picture, path)


def _require_one(picture: Image.Image, path: Path) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        raise ReinvertError(f"'{path}' holds {frames} pictures; save one of them to a file")


def _require_mode(picture: Image.Image, path: Path) -> None:
    if picture.mode not in _MODES:
        raise ReinvertError(f"'{path}' has channels '{picture.mode}'; save it as 8-bit RGB or greyscale")


def to_rgb(picture: Image.Image, path: Path) -> Image.Image:
    """8-bit RGB of what loses nothing by it; an alpha channel must be opaque.

    Raises:
        ReinvertError: CMYK, 16 bits, or transparent pixels.
    """
    _require_mode(picture, path)
    if picture.has_transparency_data:
        lowest = picture.convert("RGBA").getchannel("A").getextrema()[0]
        if lowest != _OPAQUE:
            raise ReinvertError(f"'{path}' has transparent pixels; put it on a background and save it without alpha")
    return picture.convert("RGB")
