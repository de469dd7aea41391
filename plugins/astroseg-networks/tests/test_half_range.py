"""Large variances of batch norms."""

import pytest

torch = pytest.importorskip("torch")

from astroseg_networks.blocks import Residual, convolution  # noqa: E402
from astroseg_networks.half_range import rescale_variances  # noqa: E402


def test_the_answer_stays_the_same():
    torch.manual_seed(1)
    network = torch.nn.Sequential(convolution(2, 4), Residual(4)).eval()
    loud = network[0][0], network[0][1], network[1].second, network[1].norm
    for conv, norm in (loud[:2], loud[2:]):
        with torch.no_grad():
            conv.weight[1:3] *= 1e3
            norm.running_mean[:] = torch.tensor([0.1, 40.0, -70.0, 0.2])
            norm.running_var[:] = torch.tensor([0.5, 9e4, 4e5, 2.0])
    image = torch.randn(1, 2, 16, 16)
    before = network(image)
    rescale_variances(network)
    for norm in (loud[1], loud[3]):
        assert norm.running_var.half().isfinite().all()
        torch.testing.assert_close(norm.running_var[[0, 3]], torch.tensor([0.5, 2.0]))
        torch.testing.assert_close(norm.running_var[1:3], torch.full((2,), 100.0))
    torch.testing.assert_close(network(image), before, rtol=1e-4, atol=1e-5)
