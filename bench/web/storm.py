"""A storm: a thousand questions at once, again and again, hostile ones among them. A program of its own, on standard
input and output: what it counts is printed as JSON.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from urllib.parse import urlencode

from bench.web.service import PROXY

AT_ONCE = 1_000
ENDLESS = (
    "SELECT COUNT(*) FROM tianyu.light_curve AS a, tianyu.light_curve AS b, tianyu.light_curve AS c "
    "WHERE a.flag + b.flag + c.flag > 1e9"
)
# Within what a server thinks that it may look at, and all of its time.
LONG = "SELECT COUNT(*), AVG(flux_raw) FROM tianyu.light_curve WHERE SIN(jd_utc) + COS(flux_raw) < 3 AND image_good = 1"
BUSY, ASIDE = 503, 10  # a status; niceness: strangers have machines of their own
EVERY_S = 3.0
PATIENCE_S = 180.0  # after the last


def questions() -> list[str]:
    """Addresses that strangers ask, in turns."""

    def tap(adql: str) -> str:
        return f"/tap/sync?{urlencode({'QUERY': adql, 'LANG': 'ADQL'})}"

    return [
        *(
            "/",
            "/observation/1",
            "/observation/1/stars.json",
            "/star/17",
            "/star/17/curve.json",
            "/work",
            "/candidates",
        ),
        *("/star/99999999999999999999", "/observation/0", "/frame/123456789", "/image/1/99/99/99.png", "/none"),
        tap("SELECT TOP 20000 * FROM tianyu.light_curve"),
        tap("DELETE FROM tianyu.light_curve"),
        tap("SELECT * FROM mysql.user"),
        tap(ENDLESS),
        tap(LONG),
    ]


async def ask(port: int, path: str, address: str, counted: Counter[str]) -> float:
    """Seconds until the answer has ended."""
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET {path} HTTP/1.1\r\nHost: {PROXY}\r\nX-Forwarded-For: {address}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        status = int(lines[0].split()[1])
        told = any(line.startswith("retry-after:") for line in lines)
        counted[f"{status} without Retry-After" if status == BUSY and not told else str(status)] += 1
        while await reader.read(1 << 16):
            pass
        writer.close()
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        counted[type(error).__name__] += 1
    return time.monotonic() - began


async def storm(port: int, seconds: float) -> dict[str, object]:
    """Ask a thousand at once every few seconds, whether the last ones are answered or not, and say what came of it."""
    counted: Counter[str] = Counter()
    asked, running, began = questions(), [], time.monotonic()
    for number in range(max(1, round(seconds / EVERY_S))):
        await asyncio.sleep(began + number * EVERY_S - time.monotonic())
        addresses = (f"10.{number % 250}.{n // 250}.{n % 250}" for n in range(AT_ONCE))
        each = (ask(port, asked[n % len(asked)], address, counted) for n, address in enumerate(addresses))
        running += [asyncio.create_task(one) for one in each]
    done, left = await asyncio.wait(running, timeout=PATIENCE_S)
    for one in left:
        one.cancel()
    if left:
        counted["no end"] += len(left)
    return {"asked": len(running), "answers": dict(counted), "longest": max(one.result() for one in done)}


if __name__ == "__main__":
    os.nice(ASIDE)
    print(json.dumps(asyncio.run(storm(int(sys.argv[1]), float(sys.argv[2])))))
