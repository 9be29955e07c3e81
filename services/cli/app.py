"""The `tianyu` command."""

import typer

from services.cli import (
    analyze,
    catalog,
    control,
    daemons,
    doctor,
    gc,
    graph,
    ingest,
    inject,
    lightcurve,
    logs,
    plot,
    publish,
    report,
    rerun,
    run,
    setup,
    simulate,
    status,
    target,
    transit,
)

app = typer.Typer(
    name="tianyu",
    help="A light-curve factory for survey telescopes: a night's frames in, light curves out.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold URLs with passwords
)

app.command("run")(run.run)
app.command("init")(setup.init)
app.command("ingest")(ingest.ingest)
app.command("publish")(publish.publish)
app.command("manager")(daemons.manager)
app.command("consumer")(daemons.consumer)
app.command("status")(status.status)
app.command("graph")(graph.graph)
app.command("logs")(logs.logs)
app.command("retry")(control.retry)
app.command("rerun")(rerun.rerun)
app.command("cancel")(control.cancel)
app.command("pause")(control.pause)
app.command("resume")(control.resume)
app.command("lightcurve")(lightcurve.lightcurve)
app.command("plot")(plot.plot)
app.command("analyze")(analyze.analyze)
app.command("transit")(transit.transit)
app.command("report")(report.report)
app.command("gc")(gc.gc)
app.command("simulate")(simulate.simulate)
app.command("inject")(inject.inject)
app.command("doctor")(doctor.doctor)
app.add_typer(catalog.app, name="catalog")
app.add_typer(target.app, name="target")


def main() -> None:
    """Entry of the console script."""
    app()


if __name__ == "__main__":
    main()
