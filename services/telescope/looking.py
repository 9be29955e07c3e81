"""Whether the devices of a telescope answer; nothing is connected or moved."""

from collections.abc import Iterator

from services.deployment import TelescopeDeployment
from services.errors import TianyuError


def look_at(devices: TelescopeDeployment) -> Iterator[tuple[str, str]]:
    """For each device what it says of itself, and what is wrong: one of both is empty."""
    try:
        from services.telescope import alpaca_devices as alpaca
    except ImportError:
        yield "no client is installed: exposures are taken by other machines (pip install 'tianyu[telescope]')", ""
        return
    for opened, address in (
        (alpaca.camera, devices.camera),
        (alpaca.mount, devices.mount),
        (alpaca.filter_wheel, devices.filter_wheel),
    ):
        if address is None:
            continue
        device = opened(address)
        try:
            with alpaca.asking(device, "tell its name"):
                yield f"{alpaca.name_of(device)}: {device.Name}", ""
        except TianyuError as error:
            yield "", str(error)
