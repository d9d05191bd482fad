import subprocess
import sys

# A fresh interpreter: what is tested is the first import. The measuring packages all import torchvision.
PROGRAM = """
import sys
import core.compat
assert "torch" not in sys.modules and "torchvision" not in sys.modules, "work at import"
torchvision = core.compat.import_torchvision()
assert core.compat.import_torchvision() is torchvision
import lpips, pytorch_fid.inception, torch_fidelity
import torch
assert torchvision.models.alexnet(weights=None)(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
"""


def test_the_packages_that_need_torchvision_import() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
