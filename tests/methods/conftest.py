from pathlib import Path

import pytest

from tests.methods import tiny


@pytest.fixture(scope="session")
def weights_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a 32 px domain, never changed by a test."""
    root = tmp_path_factory.mktemp("weights")
    tiny.write_generator(root, 32)
    tiny.write_perceptual(root)
    return root
