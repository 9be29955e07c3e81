"""Devices of a telescope by ASCOM Alpaca: their errors in the words of Tianyu, and what the client library leaves open.

The only module that imports alpyca, which is an optional part of the installation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from alpaca import exceptions
from alpaca.camera import Camera
from alpaca.device import Device
from alpaca.filterwheel import FilterWheel
from alpaca.telescope import Telescope

from services.errors import ConfigurationError, SurroundingsError, TransientError

DOWNLOAD_TIMEOUT_S = 120.0  # between two pieces of an image
OF_REQUEST = range(400, 500)  # HTTP: the server has no such device or method

Found = TypeVar("Found")
NO_ANSWER = requests.RequestException
NOT_THERE = (exceptions.NotImplementedException, exceptions.ActionNotImplementedException)
ALPACA = (
    *(exceptions.DriverException, exceptions.InvalidOperationException, exceptions.OperationCancelledException),
    *(exceptions.SlavedException, exceptions.ValueNotSetException),
)


class PatientCamera(Camera):
    """The library asks for an image without any limit of time: a server that is gone would be waited for for ever."""

    def _fetch_imagedata_response(self, attribute: str, **data: Any) -> requests.Response:
        response = self.rqs.get(
            f"{self.base_url}/{attribute}",
            params={"ClientTransactionID": "1", "ClientID": "1", **data},
            headers={"accept": "application/imagebytes"},
            timeout=DOWNLOAD_TIMEOUT_S,
        )
        if not response.ok:
            raise exceptions.AlpacaRequestException(response.status_code, response.reason)
        return response


def camera(address: str) -> Camera:
    """The camera at ``HOST:PORT/NUMBER``; nothing is asked yet."""
    return PatientCamera(*_place(address))


def mount(address: str) -> Telescope:
    """The mount at ``HOST:PORT/NUMBER``."""
    return Telescope(*_place(address))


def filter_wheel(address: str) -> FilterWheel:
    """The filter wheel at ``HOST:PORT/NUMBER``."""
    return FilterWheel(*_place(address))


def _place(address: str) -> tuple[str, int]:
    server, _, number = address.rpartition("/")
    return server, int(number)


def name_of(device: Device) -> str:
    """As messages name it: ``camera 127.0.0.1:11111/0``."""
    kind = {"telescope": "mount", "filterwheel": "filter wheel"}.get(device.device_type, device.device_type)
    return f"{kind} {device.address}/{device.device_number}"


@contextmanager
def asking(device: Device, what: str) -> Iterator[None]:
    """What a device answers within, or does not, as an error of Tianyu; ``what`` it is asked to do.

    Raises:
        SurroundingsError: it does not answer, is not connected or parked: that passes, and no exposure is at fault.
        TransientError: it tells of an error.
        ConfigurationError: it cannot do this, or takes no such value.
    """
    name = name_of(device)
    try:
        yield
    except requests.exceptions.JSONDecodeError as error:
        raise TransientError(
            f"{name} answers what is no JSON when asked to {what}: is this an Alpaca server?"
        ) from error
    except requests.RequestException as error:
        raise SurroundingsError(
            f"{name} does not answer when asked to {what} ({type(error).__name__}): is its Alpaca server running, and "
            "is its address right ([telescope] of the settings)? It is asked again"
        ) from error
    except exceptions.NotConnectedException as error:
        raise SurroundingsError(
            f"{name} is not connected when asked to {what} (error 0x407: {error.message}): look at its cable and power"
        ) from error
    except exceptions.ParkedException as error:
        raise SurroundingsError(
            f"{name} is parked (error 0x408: {error.message}): unpark it, the roof being open"
        ) from error
    except exceptions.InvalidValueException as error:
        raise ConfigurationError(
            f"{name} takes no such value when asked to {what} (error 0x401: {error.message}): correct the plan"
        ) from error
    except NOT_THERE as error:
        raise ConfigurationError(f"{name} cannot {what} ({error.message}): choose another plan or device") from error
    except exceptions.AlpacaRequestException as error:
        if error.number in OF_REQUEST:
            raise ConfigurationError(
                f"{name} is not known to its server (HTTP {error.number}) when asked to {what}: correct its number "
                "([telescope] of the settings)"
            ) from error
        raise TransientError(f"{name}: HTTP {error.number} when asked to {what}") from error
    except exceptions.DriverException as error:
        raise TransientError(f"{name}: error 0x{error.number:X} when asked to {what}: {error.message}") from error
    except ALPACA as error:
        raise TransientError(f"{name}: {type(error).__name__} when asked to {what}: {error.message}") from error


def told(device: Device, ask: Callable[[], Found], what: str) -> Found | None:
    """What a device tells; None where it does not know such a thing, or not now."""
    try:
        with asking(device, what):
            return ask()
    except ConfigurationError:
        return None
    except TransientError as error:
        if isinstance(error.__cause__, ALPACA):
            return None
        raise
