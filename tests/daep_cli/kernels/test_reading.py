"""Kernels and masks: read right, and refused before anything is computed."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from deepinv.physics import Blur

from daep_cli.kernels.choosing import fitted, one_of
from daep_cli.kernels.reading import as_kernel, kernel_path, read_kernel
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import write_photo

KERNEL = np.array([[0, 1, 2], [0, 5, 0], [3, 0, 0]], dtype=np.uint8)


def save(path: Path, dtype: type = np.uint8) -> Path:
    """The kernel in the format that the ending says."""
    if path.suffix == ".npy":
        np.save(path, KERNEL)
    elif path.suffix == ".npz":
        np.savez(path, k1=KERNEL)
    elif path.suffix == ".txt":
        np.savetxt(path, KERNEL)
    else:
        write_photo(Photo(KERNEL.astype(dtype)[..., None]), path)
    return path


@pytest.mark.parametrize("name", ["k.npy", "k.npz", "k.txt", "k.png", "k.tif"])
def test_every_format_gives_the_same_normalised_kernel(tmp_path: Path, name: str) -> None:
    np.testing.assert_allclose(read_kernel(str(save(tmp_path / name))), KERNEL / KERNEL.sum())


def test_16_bit_and_rgb_images_of_kernels(tmp_path: Path) -> None:
    np.testing.assert_allclose(read_kernel(str(save(tmp_path / "k.png", np.uint16))), KERNEL / KERNEL.sum())
    write_photo(Photo(np.dstack([KERNEL, KERNEL, 0 * KERNEL])), tmp_path / "rgb.png")  # the third channel is empty
    np.testing.assert_allclose(read_kernel(str(tmp_path / "rgb.png")), KERNEL / KERNEL.sum())


def test_one_kernel_of_several_is_named_behind_a_colon(tmp_path: Path) -> None:
    path = tmp_path / "k.npz"
    np.savez(path, **{"k1": np.eye(3), "k4": KERNEL, "lens:f/4": KERNEL})
    np.testing.assert_allclose(read_kernel(f"{path}:lens:f/4"), KERNEL / KERNEL.sum())
    np.testing.assert_allclose(read_kernel(f"{path}:k4"), KERNEL / KERNEL.sum())
    assert kernel_path(f"{path}:k4") == path
    with pytest.raises(ValueError, match=r"--kernel .*k\.npz: contains k1, k4, lens:f/4; name one, as in .*k\.npz:k1"):
        read_kernel(str(path))
    with pytest.raises(ValueError, match="name one"):
        read_kernel(f"{path}:k9")
    with pytest.raises(ValueError, match=r"only an \.npz"):
        read_kernel(f"{save(tmp_path / 'k.npy')}:k1")


@pytest.mark.parametrize("shape", [(2, 2), (4, 3), (3, 6)])
def test_even_sides_are_padded_such_that_deepinvs_blur_does_not_shift(shape: tuple[int, int]) -> None:
    kernel = np.random.default_rng(0).uniform(size=shape)
    odd = as_kernel(kernel, "k")
    assert odd.shape[0] % 2 == odd.shape[1] % 2 == 1
    x = torch.rand(1, 1, 12, 13, dtype=torch.float64)
    blurs = [Blur(torch.as_tensor(k / k.sum())[None, None], padding="circular") for k in (kernel, odd)]
    torch.testing.assert_close(blurs[0](x), blurs[1](x))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((3, 3)), "sum to 0"),
        (-np.ones((3, 3)), "sum to -9"),
        (np.array([[1, np.nan]]), "NaN"),
        (np.array([[1, np.inf]]), "infinite"),
        (np.full((2, 2), 1e308), "sum to inf"),
        (np.zeros((0, 3)), "shape"),
        (np.ones(5), "shape"),
        (np.ones((2, 3, 3, 3)), "shape"),
        (np.ones((3, 3), complex), "complex"),
        (np.array([["a"]]), "expected a table of numbers"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_unusable_kernels_are_refused(values: np.ndarray, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "k.npy"
    np.save(path, values)
    with pytest.raises(ValueError, match=reason):
        read_kernel(str(path))


@pytest.mark.parametrize("shape", [(1, 3, 5), (3, 5, 1)])
def test_a_kernel_with_one_channel_is_its_only_plane(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.arange(1.0, 16).reshape(3, 5)
    np.save(tmp_path / "k.npy", values.reshape(shape))
    np.testing.assert_allclose(read_kernel(str(tmp_path / "k.npy")), values / values.sum())


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".txt", ".png"])
def test_damaged_kernel_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"k{suffix}")
    whole = path.read_bytes()
    for content in (b"", b"\xff\0nonsense", whole[: len(whole) // 2] if suffix != ".txt" else b"1 2\n3"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"k\.\w+: not a readable|expected a table"):
            read_kernel(str(path))


@pytest.mark.parametrize(
    "header", ["{'descr': '<f8', 'shape': (3", "{'descr': '<f8', 'fortran_order': False, 'shape': (9**99,)}"]
)
def test_a_header_that_is_no_python_is_one_short_sentence(tmp_path: Path, header: str) -> None:
    path = tmp_path / "k.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    with pytest.raises(ValueError, match=r"k\.npy: not a readable") as caught:
        read_kernel(str(path))
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_kernel_files_that_could_run_code_or_fill_the_memory_are_refused(tmp_path: Path) -> None:
    pickled = tmp_path / "p.npy"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a readable"):
        read_kernel(str(pickled))
    liar = tmp_path / "l.npy"
    np.save(liar, KERNEL)
    content = liar.read_bytes()
    liar.write_bytes(content.replace(b"(3, 3), }        ", b"(99999, 99999), }"))
    with pytest.raises(ValueError, match="not a readable"):
        read_kernel(str(liar))
    bomb = tmp_path / "b.npz"
    np.savez_compressed(bomb, k=np.zeros(9 * 2**20))
    with pytest.raises(ValueError, match="unpacks to more"):
        read_kernel(str(bomb))


def test_missing_kernel_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_kernel(str(tmp_path / "none.png"))


def write_plane(path: Path, values: np.ndarray) -> str:
    """An 8-bit image with a white peak."""
    write_photo(Photo((255 * values / values.max()).round().astype(np.uint8)[..., None]), path)
    return str(path)


@pytest.mark.parametrize("ground", [0.03, 0.07, 0.4])
def test_a_photograph_of_a_point_of_light_that_is_taken_for_a_kernel_is_remarked_on(tmp_path: Path, ground) -> None:
    spot = np.pad(read_kernel("motion:15:30"), 12)
    noise = 0.005 * np.random.default_rng(0).standard_normal(spot.shape)
    path = write_plane(tmp_path / "star.png", ground + (1 - ground) * spot / spot.max() + noise)
    about = r"its border is not black \([0-9]+ % of its peak\), so this ground was subtracted"
    with pytest.warns(UserWarning, match=f"star.png: {about}; .* give spot:{path}"):
        read_kernel(path)
    np.save(tmp_path / "k.npy", read_photo(Path(path)).colour[..., 0])
    with pytest.warns(UserWarning, match=rf"k.npy: {about}\."):  # no camera writes numbers
        kernel = read_kernel(str(tmp_path / "k.npy"))
    assert np.abs(kernel - spot).sum() < 0.15


@pytest.mark.parametrize(
    "name",
    [
        *(f"motion:{length}:{angle}" for length in (1, 2, 5, 6, 15, 40) for angle in (0, 3, 20, 30, 45, 90)),
        *(f"gaussian:{sigma}" for sigma in (0.1, 0.3, 1, 1.6, 5, 40)),
        *(f"disk:{radius}" for radius in (0.5, 1, 1.5, 2, 3, 4, 10, 30)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_kernels_of_every_shape_are_not_taken_for_photographs(tmp_path: Path, name: str) -> None:
    kernel = read_kernel(name)
    read_kernel(write_plane(tmp_path / "whole.png", kernel))
    if min(kernel.shape) > 4:  # cut too tightly
        read_kernel(write_plane(tmp_path / "cut.png", kernel[1:-1, 1:-1]))
    read_kernel(write_plane(tmp_path / "box.png", np.ones(kernel.shape)))


def test_a_photograph_that_is_too_large_for_a_kernel_may_be_one_of_a_point_of_light(tmp_path: Path) -> None:
    path = write_plane(tmp_path / "k.png", np.ones((9, 9)))
    with pytest.raises(ValueError, match=f"empty border, or if it is a photograph of a .*, give spot:{path}"):
        fitted(read_kernel(path), (8, 20), path, image=True)
    for name, advice in (("disk:4", "give a smaller one"), (f"spot:{path}", "cut off its empty border")):
        with pytest.raises(ValueError, match=rf"{advice}\."):
            fitted(np.ones((9, 9)), (8, 20), name, image=False)


def test_a_kernel_of_floats_in_every_kind_of_file_is_read_at_its_precision(tmp_path: Path) -> None:
    kernel = read_kernel("gaussian:1.6")
    tifffile.imwrite(tmp_path / "k.tif", kernel.astype(np.float32))
    np.savetxt(tmp_path / "k.csv", kernel, delimiter=",")
    np.savetxt(tmp_path / "t.txt", kernel, delimiter="\t")
    text = "\n".join(";".join(f"{value:.9f}".replace(".", ",") for value in row) for row in kernel)
    (tmp_path / "german.csv").write_text(text)
    for name in ("k.tif", "k.csv", "t.txt", "german.csv"):
        np.testing.assert_allclose(read_kernel(str(tmp_path / name)), kernel, atol=2e-8)


@pytest.mark.filterwarnings("error")
def test_the_light_of_a_kernel_may_be_its_opacity(tmp_path: Path) -> None:
    kernel = read_kernel("motion:9:30")
    opacity = (255 * kernel / kernel.max()).round().astype(np.uint8)
    for name, grey in (("white.png", 255), ("black.png", 0)):
        colour = np.full((*kernel.shape, 3), grey, np.uint8)
        write_photo(Photo(colour, opacity), tmp_path / name)
        np.testing.assert_allclose(read_kernel(str(tmp_path / name)), kernel, atol=1e-3)


@pytest.mark.parametrize("name", ["motion:9:35", "motion:31:45", "motion:5:20", "disk:2", "disk:8.5", "gaussian:2.5"])
def test_a_tight_or_large_kernel_is_inverted_too(tmp_path: Path, name: str) -> None:
    """A tight kernel touches the border of its file. An inverted wide one has its largest values in the corners."""
    kernel = read_kernel(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.save(tmp_path / "k.npy", kernel)
        np.testing.assert_allclose(read_kernel(str(tmp_path / "k.npy")), kernel)
    np.save(tmp_path / "k.npy", kernel.max() - kernel)
    with pytest.warns(UserWarning, match=r"k.npy: is black on white, so it was inverted"):
        np.testing.assert_allclose(read_kernel(str(tmp_path / "k.npy")), kernel, atol=0.01 * kernel.max())


def test_a_diagonal_of_three_pixels_is_not_inverted(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.eye(3))
    np.testing.assert_allclose(read_kernel(str(tmp_path / "k.npy")), np.eye(3) / 3)


def test_a_kernel_of_deepinv_has_two_more_axes(tmp_path: Path) -> None:
    for channels in (1, 3):
        np.save(tmp_path / "k.npy", np.stack(channels * [KERNEL])[None])
        kernel = read_kernel(str(tmp_path / "k.npy"))
        np.testing.assert_allclose(kernel, np.stack(channels * [KERNEL / KERNEL.sum()]).squeeze())
    np.save(tmp_path / "k.npy", np.stack([KERNEL, KERNEL])[:, None])
    with pytest.raises(ValueError, match=r"got uint8 of shape \(2, 1, 3, 3\); expected a table of numbers"):
        read_kernel(str(tmp_path / "k.npy"))


def test_an_image_without_some_values_is_no_kernel(tmp_path: Path) -> None:
    values = KERNEL.astype(np.float32)
    values[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "k.tif", values)
    with pytest.raises(ValueError, match="it contains NaN or infinite values; expected finite numbers"):
        read_kernel(str(tmp_path / "k.tif"))


def test_a_kernel_that_is_black_on_white_is_inverted_and_said(tmp_path: Path) -> None:
    kernel = np.pad(read_kernel("motion:9:30"), 3)
    path = write_plane(tmp_path / "k.png", 1 - kernel / kernel.max())
    with pytest.warns(UserWarning, match=r"k.png: is black on white, so it was inverted"):
        np.testing.assert_allclose(read_kernel(path), kernel, atol=1e-3)


def test_an_even_ground_in_numbers_is_subtracted_and_said(tmp_path: Path) -> None:
    """Five per cent of the peak is more light than the kernel has."""
    kernel = np.pad(read_kernel("motion:9:30"), 8)
    for share in (0.05, 0.005):
        np.save(tmp_path / "k.npy", kernel + share * kernel.max())
        with pytest.warns(UserWarning, match=rf"its border is not black \({100 * share:g} % of its peak\)"):
            np.testing.assert_allclose(read_kernel(str(tmp_path / "k.npy")), kernel, atol=1e-6)


def test_a_kernel_as_large_as_the_picture_is_cut_to_its_light(tmp_path: Path) -> None:
    kernel = read_kernel("gaussian:1.6")
    large = np.zeros((60, 80))
    large[30 - 6 : 30 + 7, 40 - 6 : 40 + 7] = kernel
    np.save(tmp_path / "middle.npy", large)
    np.save(tmp_path / "corner.npy", np.fft.ifftshift(large))
    middle = read_kernel(str(tmp_path / "middle.npy"))
    with pytest.warns(UserWarning, match="has its middle in the corner, so it was moved"):
        np.testing.assert_allclose(read_kernel(str(tmp_path / "corner.npy")), middle)
    with pytest.warns(UserWarning, match=r"its border, 0\.[0-9] % of the light, was cut off"):
        cut = fitted(middle, (80, 60), "middle.npy", image=False)
    assert max(cut.shape) <= 13
    off = [(n - 13) // 2 for n in (13, 13)]
    assert off == [0, 0] and cut[cut.shape[0] // 2, cut.shape[1] // 2] == cut.max()
    small = read_kernel("motion:15:30")
    assert fitted(small, (24, 24), "motion:15:30", image=False) is small  # all of it is light


@pytest.mark.parametrize("side", [30, 31])
def test_a_middle_near_the_corner_is_one_in_the_corner(tmp_path: Path, side: int) -> None:
    """The peak of camera shake is not its middle, and the middle of even sides is easily missed by a pixel."""
    kernel = np.zeros((side, side))
    kernel[9:18, 10:19] = read_kernel("gaussian:1")
    np.save(tmp_path / "k.npy", np.fft.ifftshift(kernel))
    with pytest.warns(UserWarning, match="has its middle in the corner, so it was moved"):
        found = read_kernel(str(tmp_path / "k.npy"))
    np.testing.assert_allclose(found[:side, :side], kernel)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("edge", [0, 2])
def test_a_double_image_is_no_middle_in_the_corner(tmp_path: Path, edge: int) -> None:
    kernel = np.zeros((25, 25))
    kernel[edge, edge], kernel[24 - edge, 24 - edge] = 0.3, 0.7
    np.save(tmp_path / "k.npy", kernel)
    np.testing.assert_allclose(read_kernel(str(tmp_path / "k.npy")), kernel)


def test_three_kernels_are_no_kernel_of_a_grey_stack() -> None:
    kernels = np.stack([read_kernel("gaussian:1")] * 3)
    with pytest.raises(ValueError, match=r"3 kernels, but the image has channels: 1, and pages: 6; give one"):
        one_of(kernels, 1, 0, 6, "k.tif")
    with pytest.warns(UserWarning, match="3 kernels for a grey image; their mean is used"):
        np.testing.assert_allclose(one_of(kernels, 1, 0, 1, "k.tif"), kernels[0])


def test_one_kernel_a_channel_and_one_a_page(tmp_path: Path) -> None:
    kernels = np.stack([np.pad(read_kernel(f"disk:{radius}"), 5 - int(radius)) for radius in (1, 2, 3)])
    np.save(tmp_path / "k.npy", kernels)
    np.save(tmp_path / "last.npy", np.moveaxis(kernels, 0, -1))
    tifffile.imwrite(tmp_path / "k.tif", kernels.astype(np.float32), photometric="minisblack")
    tifffile.imwrite(tmp_path / "rgb.tif", np.moveaxis(kernels, 0, -1).astype(np.float32), photometric="rgb")
    for name in ("k.npy", "last.npy", "k.tif", "rgb.tif"):
        np.testing.assert_allclose(read_kernel(str(tmp_path / name)), kernels, atol=1e-7)


def test_an_archive_whose_header_lies_about_the_size_reserves_no_memory(tmp_path: Path) -> None:
    """Ninety gigabytes by the header, a hundred bytes by the file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (3 << 32,)})
    with zipfile.ZipFile(tmp_path / "k.npz", "w") as archive:
        archive.writestr("k.npy", header.getvalue() + bytes(64))
    with pytest.raises(ValueError, match=r"not a readable .npz file, or damaged"):
        read_kernel(str(tmp_path / "k.npz"))
