"""MTCNN's box functions against brute force, and the age and pose networks at tiny sizes."""

import numpy as np
import torch
from PIL import Image

from metrics.judges import mtcnn_boxes
from metrics.judges.age import AgeNetwork, aging_loss, expected_age, published_names
from metrics.judges.mtcnn import FaceDetector
from metrics.judges.pose import PoseNetwork, expected_angles, imagenet_input, plain_input


def overlap(first: np.ndarray, second: np.ndarray, mode: str) -> float:
    """Of two boxes of whole pixels, by counting them."""
    one, other = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    for grid, box in ((one, first.astype(int)), (other, second.astype(int))):
        grid[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    below = min(one.sum(), other.sum()) if mode == "min" else (one | other).sum()
    return (one & other).sum() / below


def test_suppression_keeps_the_best_of_those_that_overlap() -> None:
    random = np.random.default_rng(3)
    corners = random.integers(0, 40, (30, 2))
    boxes = np.column_stack([corners, corners + random.integers(3, 19, (30, 2)), random.random(30)]).astype(float)
    for mode in ("union", "min"):
        kept: list[int] = []
        for index in np.argsort(-boxes[:, 4]):
            if all(overlap(boxes[index], boxes[other], mode) <= 0.3 for other in kept):
                kept.append(int(index))
        assert mtcnn_boxes.suppress(boxes, 0.3, mode).tolist() == kept  # type: ignore[arg-type]


def test_proposals_are_cells_of_twelve_pixels_every_two() -> None:
    scores = np.zeros((3, 4))
    scores[2, 1] = 0.9
    offsets = np.arange(48.0).reshape(4, 3, 4)
    found = mtcnn_boxes.proposals(scores, offsets, 0.5, 0.6)
    assert found.tolist() == [[6, 10, 30, 34, 0.9, 9, 21, 33, 45]]


def test_squares_keep_the_centre_and_the_longer_side() -> None:
    square = mtcnn_boxes.squares(np.array([[10.0, 20, 19, 39, 0.7]]))
    assert square.tolist() == [[5, 20, 24, 39, 0]]
    assert mtcnn_boxes.calibrate(square, np.array([[0.1, 0, 0, -0.5]])).tolist() == [[7, 20, 24, 29, 0]]


def test_patches_are_black_outside_and_boxes_are_clipped() -> None:
    picture = np.full((30, 40, 3), 255, np.uint8)
    cut, inputs = mtcnn_boxes.patches(np.array([[-12.0, -6, 11, 17, 0], [8, 8, 31, 31, 0]]), picture, 24)
    assert cut[:, :4].tolist() == [[0, 0, 11, 17], [8, 8, 31, 29]]
    assert inputs is not None
    white = (255 - 127.5) / 128
    np.testing.assert_array_equal(inputs[0, 0, 6:, 12:], white)
    assert (inputs[0, :, :6] < -0.99).all()
    assert (inputs[1, :, 22:] < -0.99).all()
    assert mtcnn_boxes.patches(np.array([[50.0, 0, 60, 10, 0]]), picture, 24)[1] is None


def test_the_pyramid_ends_at_a_cell() -> None:
    scales = mtcnn_boxes.pyramid_scales(200, 100, 20)
    assert scales[0] == 0.6
    assert 100 * scales[-1] > 12 >= 100 * scales[-1] * 0.707


def test_the_detector_runs_and_finds_no_face_where_scores_are_low() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    torch.manual_seed(0)
    assert FaceDetector(thresholds=(1.0, 1.0, 1.0)).detect(picture).boxes.shape == (0, 5)
    everything = FaceDetector(min_face=30, thresholds=(0.0, 0.0, 0.0)).detect(picture)
    assert len(everything.boxes) == len(everything.landmarks)
    assert (np.diff(everything.boxes[:, 4]) <= 0).all()


def test_an_age_is_an_expectation() -> None:
    logits = torch.full((2, 101), -torch.inf)
    logits[0, 30] = logits[1, 20] = logits[1, 40] = 0.0
    ages = expected_age(logits)
    assert ages.tolist() == [30, 30]
    assert abs(aging_loss(ages, torch.tensor([0.3, 0.5])).item() - 0.02) < 1e-7
    network = AgeNetwork(size=16, widths=((4,), (6, 6)), hidden=8, classes=11).eval()
    found = network(torch.rand(2, 3, 20, 20) * 2 - 1)
    assert found.shape == (2,)
    assert ((found > 0) & (found < 10)).all()
    dashed = {name.replace("_", "-"): value for name, value in network.state_dict().items()}
    network.load_state_dict(published_names(dashed))


def test_a_pose_is_three_expectations_at_lower_edges() -> None:
    logits = torch.full((3, 66), -torch.inf)
    logits[0, 33] = logits[1, 0] = logits[2, 65] = 0.0
    assert expected_angles(logits).tolist() == [0, -99, 96]
    network = PoseNetwork(bins=66, widths=(4, 4, 4, 8), units=(1, 1, 1, 1)).eval()
    assert network(plain_input(torch.rand(2, 3, 64, 64))).shape == (2, 3)
    grey = imagenet_input(np.full((1, 256, 256, 3), 255, np.uint8))
    assert grey.shape == (1, 3, 224, 224)
    torch.testing.assert_close(grey[0, 0, 0, 0], torch.tensor((1 - 0.485) / 0.229))
