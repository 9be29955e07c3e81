"""Alerts of a live night: candidates are written down as they pass the limit, and sent from a thread of their own.

What was written down is sent at some time, also by a later `tianyu watch`. Who is killed between the receiver's answer
and the mark sends once more: the receiver knows it by its `id`.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.queries import alerting
from services.errors import TransientError
from services.operating.live.webhook import RefusedError, Webhook
from services.settings import Settings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0  # between attempts while the receiver does not answer
LAST_CHANCE_S = 10.0  # for what is left when the night is over

Say = Callable[[str], None]


def bodies(session: Session, observation_id: int, false_alarm: float) -> list[dict[str, Any]]:
    """What is to be told of the candidates of an observation that nobody was told of."""
    found = alerting.candidates(session, observation_id, false_alarm)
    if not found:
        return []
    seen = alerting.facts(session, observation_id)
    of_observation = {
        "observation_id": observation_id,
        "target": seen.target,
        "filter": seen.filter,
        "night": seen.night.isoformat(),
        "instrument": seen.instrument,
        "telescope": seen.telescope,
        "frames": seen.frames,
        "from_jd_utc": seen.from_jd_utc,
        "to_jd_utc": seen.to_jd_utc,
        "from_bjd_tdb": seen.from_bjd_tdb,
        "to_bjd_tdb": seen.to_bjd_tdb,
    }
    return [
        {
            "id": f"{observation_id}-{source.source_id}",
            "kind": "candidate",
            **of_observation,
            "source_id": source.source_id,
            "ra_deg": source.ra_deg,
            "dec_deg": source.dec_deg,
            "x": source.x,
            "y": source.y,
            "false_alarm": one.false_alarm,
            "leading_test": one.leading_test,
            "rank": one.variability_rank,
            "scatter": statistics.scatter,
            "points": statistics.epochs,
            "sine_period_d": one.sine_period_d,
            "sine_amplitude": one.sine_amplitude,
            "box_mid_bjd": one.box_mid_bjd,
            "box_depth": one.box_depth,
            "box_duration_d": one.box_duration_d,
        }
        for one, source, statistics in found
    ]


class Alerts:
    """Writes candidates down, and sends them in a thread. Nothing of it holds up the night."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        webhook: Webhook,
        false_alarm: float,
        note: Say,
        pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._sessions = sessions
        self._webhook = webhook
        self._false_alarm = false_alarm
        self._note = note
        self._pause_s = pause_s
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def look(self, observations: Sequence[int]) -> None:
        """New light curves of these are there."""
        for observation_id in observations:
            found = database.transact(self._sessions, partial(self._write_down, observation_id=observation_id))
            if found:
                self._note(f"observation {observation_id}: {found} new candidate{'s' if found > 1 else ''}")
        self._wake.set()

    def close(self) -> None:
        """Let the thread send what is left, but not for long."""
        self._closing.set()
        self._wake.set()
        self._thread.join(LAST_CHANCE_S)

    def _write_down(self, session: Session, observation_id: int) -> int:
        found = bodies(session, observation_id, self._false_alarm)
        alerting.write_down(session, found)
        return len(found)

    def _run(self) -> None:
        pause = self._pause_s
        while True:
            sent_all = self._send_all()
            if self._closing.is_set():
                return
            if sent_all:
                pause = self._pause_s
                self._wake.wait()
                self._wake.clear()
            else:
                self._closing.wait(pause)
                pause = min(2.0 * pause, LONGEST_PAUSE_S)

    def _send_all(self) -> bool:
        """Whether nothing is left."""
        try:
            with self._sessions() as session:
                waiting = [(one.observation_id, one.source_id, one.body) for one in alerting.unsent(session)]
            for observation_id, source_id, body in waiting:
                refusal = None
                try:
                    self._webhook.send(body)
                except RefusedError as error:
                    refusal = str(error)
                    self._say(f"alert {observation_id}-{source_id} is not sent again: {refusal}")
                done = partial(alerting.close, observation_id=observation_id, source_id=source_id, refusal=refusal)
                database.transact(self._sessions, done)
        except TransientError as error:
            self._say(f"alerts wait: {error}")
            return False
        except DBAPIError as error:  # the night says so itself
            if not database.is_away(error):
                self._say(f"alerts wait, the database failed: {error.orig}")
            return False
        self._said = ""
        return True

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            with suppress(Exception):  # a terminal that is gone ends no thread
                self._note(line)


def alerts_of(settings: Settings, sessions: sessionmaker[Session], note: Say) -> Alerts | None:
    """As the settings say; None where nobody is to be told.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    if settings.alert_url is None:
        return None
    webhook = Webhook(settings.alert_url, settings.alert_token, settings.alert_timeout_s)
    return Alerts(sessions, webhook, settings.alert_false_alarm, note)
