"""68 facial landmarks of photos by the face-alignment package: what `metrics.alignment` needs of a photo.

Paper: Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?" (arXiv 1703.07332).
The package (BSD) is optional: `pip install 'reinvert[landmarks]'`. Nothing is downloaded here, though the package would
do it: its two files are looked for where it keeps them, in torch.hub's folder, and their hashes are checked before they
are read (without unpickling anything but tensors).

Deviation: FFHQ and the pSp family find landmarks by dlib, so a crop made here lies some pixels from theirs. It is for
photos of one's own, not for making a published test set again.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from core.errors import ReinvertError
from core.files import sha256_of
from metrics.alignment import LANDMARKS, Points

PACKAGE = "face_alignment"
ADDRESS = "https://www.adrianbulat.com/downloads/python-fan/"
DETECTOR, NETWORK = "s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar"
SHA256 = {
    DETECTOR: "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
    NETWORK: "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
}
"""Of the files that release 1.5 of the package reads."""


class LandmarkFinder:
    """Finds the one face of a photo.

    Args:
        device: where the networks run.
        sha256: of the files, by name.

    Raises:
        ReinvertError: the package is not installed, or a file is missing or has another hash.
    """

    def __init__(self, device: str | torch.device = "cpu", sha256: Mapping[str, str] = SHA256) -> None:
        try:
            package: Any = import_module(PACKAGE)
        except ImportError as error:
            raise ReinvertError(
                f"finding landmarks needs the package face-alignment ({error}); install it: "
                "pip install 'reinvert[landmarks]'"
            ) from error
        files = {name: _file(name, expected) for name, expected in sha256.items()}
        # Its `compile` would write into the home folder for one photo's sake. A path for the detector is read without
        # unpickling, where its default is not; the other network is read so in any case.
        self._network = package.FaceAlignment(
            package.LandmarksType.TWO_D,
            device=str(device),
            compile=False,
            face_detector="sfd",
            face_detector_kwargs={"path_to_detector": str(files[DETECTOR])},
        )

    def find(self, picture: Image.Image, name: str = "the picture") -> Points:
        """The landmarks of the face in a photo: (68, 2) x and y in pixels, in the order of dlib's predictor.

        Args:
            picture: RGB.
            name: what errors call it.

        Raises:
            ReinvertError: there is no face in it, or more than one: which of them is meant is not guessed.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that there is no face, which is said below
            faces = self._network.get_landmarks_from_image(np.asarray(picture.convert("RGB")))
        if not faces:  # the package gives None
            raise ReinvertError(f"no face is found in {name}; take a photo that shows one from the front")
        if len(faces) > 1:
            raise ReinvertError(f"{len(faces)} faces are found in {name}; cut out the one that is meant")
        points = np.asarray(faces[0], np.float64)
        if points.shape != (LANDMARKS, 2) or not np.isfinite(points).all():
            raise ReinvertError(f"face-alignment gives {points.shape} for {name}, not 68 points; install release 1.5")
        return points


def _file(name: str, expected: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        raise ReinvertError(f"the weights of face-alignment are not here; get {ADDRESS}{name} and put it at '{path}'")
    if (found := sha256_of(path)) != expected:
        raise ReinvertError(f"'{path}' has sha256 {found[:12]}..., not {expected[:12]}...; get {name} again")
    return path
