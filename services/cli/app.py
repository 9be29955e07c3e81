"""The `tianyu` command."""

from typing import Annotated

import typer

from services.cli.later import Entry, group_of

COMMANDS = {
    "run": Entry("run", "Make the light curves of a night: register, publish, process, summarise."),
    "watch": Entry("watch", "Make light curves of a night while its frames arrive: they grow with each frame."),
    "capture": Entry(
        "capture",
        "Publish a plan of exposures with all that is made of them: one observation, from the sky to light curves.",
    ),
    "init": Entry("setup", "Make or upgrade the schema, and register site and groups. Safe to repeat."),
    "db": Entry("db", "The database's schema: what an upgrade would do, and the upgrade."),
    "ingest": Entry(
        "ingest", "Register frames and group them into observations; frames registered before are left alone."
    ),
    "publish": Entry(
        "publish", "Write an observation's whole process graph in one transaction, with the masters that it needs."
    ),
    "manager": Entry(
        "manager", "Put each process whose dependencies are done into the queue of its site and group, until stopped."
    ),
    "consumer": Entry(
        "consumer", "Run processes of a group until stopped; SIGTERM finishes the current one and leaves."
    ),
    "status": Entry(
        "status",
        "What was expected, what is done, what failed and why, what is stuck and what to do, and who works on what.",
    ),
    "graph": Entry(
        "graph", "Draw the process graph of an observation: what depends on what, and how far each part is."
    ),
    "logs": Entry(
        "logs", "One process: its state, what it waits for, and each attempt with worker, cost, error and traceback."
    ),
    "retry": Entry(
        "control",
        "Send failed or cancelled processes, and all that failed or was skipped behind them, back to waiting.",
    ),
    "rerun": Entry("rerun", "Run one step of an observation and all that follow again, with the settings of now."),
    "cancel": Entry(
        "control", "Cancel processes: queued work never starts, running work commits nothing. Safe while consumers run."
    ),
    "pause": Entry("control", "Let no process of a group start until `tianyu resume`; what runs is finished."),
    "resume": Entry("control", "Let a paused group go on."),
    "lightcurve": Entry("lightcurve", "Print, save or draw light curves of a star or a list, over all nights or some."),
    "plot": Entry("plot", "Draw the plots of an observation: field, noise, frames, and one star's light curve."),
    "export": Entry("export", "Write observations as files of other programs."),
    "analyze": Entry(
        "analyze",
        "List the stars of an observation that vary, the surest first, and say how precise its light curves are.",
    ),
    "standard": Entry(
        "standard",
        "Bring a star's magnitudes to a standard band (B, V, Rc, Ic, g, r, i, z), or tell its colour by two filters.",
    ),
    "transit": Entry(
        "transit", "Fit one transit in a star's light curve, and say how much more likely it is than a trend alone."
    ),
    "serve": Entry("serve", "Show nights, fields, light curves and candidates to a browser; it only reads."),
    "report": Entry("report", "Time, CPU, memory and bytes by command, and the throughput."),
    "gc": Entry("gc", "Delete intermediate images, or rows, that nothing needs any more. Safe while consumers run."),
    "backup": Entry(
        "backup",
        "Copy database and images of this site to a new folder in FOLDER, while programs run. It prints its name.",
    ),
    "restore": Entry(
        "backup",
        "Bring a backup back, into the database and below the root of the settings. Refuses what is not empty.",
    ),
    "simulate": Entry(
        "simulate",
        "Simulate a night with known truth: stars, seeing, drift, clouds, trails, hot pixels, a transit and more.",
    ),
    "inject": Entry(
        "inject", "Put signals into the raw frames of an observation, process them, and tell how many are found again."
    ),
    "doctor": Entry("doctor", "Look at settings, database, broker and disk, and say what is wrong and what to do."),
    "health": Entry(
        "health",
        "Whether a manager or consumer of this host is alive and the database answers: a cheap probe for containers.",
    ),
    "catalog": Entry("catalog", "The catalogue of stars that is kept on this site's disk."),
    "calib": Entry(
        "calib", "The calibration library: bias, dark and flat frames, their masters, and what each observation gets."
    ),
    "instrument": Entry("instrument", "Cameras: what their calibration frames tell of them."),
    "target": Entry("target", "Names of stars and where they point."),
}

app = typer.Typer(
    name="tianyu",
    cls=group_of(COMMANDS),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold URLs with passwords
)


def show_version(asked: bool) -> None:
    """Print one line, and leave."""
    if not asked:
        return
    import platform
    from importlib.metadata import version

    from schema import revisions

    typer.echo(f"tianyu {version('tianyu')}, schema {revisions.NEWEST}, Python {platform.python_version()}")
    raise typer.Exit


@app.callback()
def tianyu(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Version, schema that it needs, and Python."
        ),
    ] = False,
) -> None:
    """A light-curve factory for survey telescopes: a night's frames in, light curves out."""


def main() -> None:
    """Entry of the console script."""
    app()


if __name__ == "__main__":
    main()
