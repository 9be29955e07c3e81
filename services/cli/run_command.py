"""`tianyu run`: a folder of frames in, light curves out, by one command and without a server."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.console import JsonOption, counting, friendly, note, show_error
from services.cli.given_names import (
    FilterOption,
    InstrumentOption,
    LogOption,
    ObjectOption,
    OnlyFilter,
    OnlyObject,
    PatternOption,
    how_to_read,
    log_of,
)
from services.cli.master_options import (
    AltBias,
    AltDark,
    AltFlat,
    UseBias,
    UseDark,
    UseFlat,
    Without,
    with_masters,
)
from services.cli.star_options import (
    TARGET_FORM,
    TARGET_HELP,
    CatalogOption,
    ForcedOption,
    PointingOption,
    ReferenceOption,
    TargetsOption,
    with_reference,
    with_targets,
)
from services.cli.step_options import OnlyOption, UntilOption, with_steps
from services.cli.template_options import NewTemplateOption, TemplateOption, require_one_template
from services.errors import ConfigurationError
from services.results.positions import parse_target, pointing


@friendly
def run(
    raw_dir: Annotated[Path, typer.Argument(help="Folder of FITS frames; searched with its subfolders.")],
    workdir: Annotated[Path, typer.Option(help="Where database, images and plots go.")] = Path("tianyu-work"),
    consumers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes at a time. Default: one a core, at most 4.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar=TARGET_FORM, help=f"Star to plot: {TARGET_HELP}"),
    ] = None,
    radec: PointingOption = None,
    catalog: CatalogOption = None,
    template: TemplateOption = "own",
    new_template: NewTemplateOption = False,
    reference_frame: ReferenceOption = None,
    targets: TargetsOption = None,
    forced: ForcedOption = None,
    existing: Annotated[
        Literal["append", "skip", "overwrite", "error"],
        typer.Option(
            help="Observations that have light curves: append what is missing, skip or overwrite them, or an error."
        ),
    ] = "append",
    missing: Annotated[
        Literal["skip", "error"] | None,
        typer.Option(help="Observations that lack bias, dark or flat: skip them, or an error. Default: without it."),
    ] = None,
    until: UntilOption = None,
    only: OnlyOption = None,
    without: Without = None,
    use_bias: UseBias = None,
    use_dark: UseDark = None,
    use_flat: UseFlat = None,
    alt_bias: AltBias = None,
    alt_dark: AltDark = None,
    alt_flat: AltFlat = None,
    object_name: ObjectOption = None,
    filter_name: FilterOption = None,
    instrument: InstrumentOption = None,
    pattern: PatternOption = None,
    observing_log: LogOption = None,
    only_object: OnlyObject = None,
    only_filter: OnlyFilter = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 also where a short observation gave no light curves.")
    ] = False,
    plots: Annotated[bool, typer.Option(help="Draw the field, its noise, its frames and one star.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Make the light curves of a night: register, publish, process, summarise.

    A run that was interrupted goes on where it was when it is started again, and
    takes in frames that came since: these are measured on the template that there is, unless `--new-template`
    makes one of all frames. Exit code 0 only if light curves were made, of all observations
    but those with less than a tenth of the frames of their night's longest (`--strict`: of all).
    A master that failed stops its nights: mend it and `tianyu retry`, or go on `--without` it.

    With `--template known` what is new is measured on the template of another night of the field in the same
    working folder: nothing is stacked or detected.

    With `--until STEP` a night is taken up to that step, and the same command without it goes on from there; with
    `--only STEP` that step alone is made, for instance by other settings.

    Examples: `tianyu run ~/night`, `tianyu run ~/night --workdir ~/reduced --target HAT-P-32`,
    `tianyu run ~/night --radec 31.0428,46.6878 --catalog gaia.csv`,
    `tianyu run ~/night --existing skip --missing error --without dark`,
    `tianyu run ~/tonight --template known`, `tianyu run ~/night --until detect`,
    `tianyu run ~/night --forced list.csv`, `tianyu run ~/night --json`
    """
    star = None if target is None else parse_target(target)  # what is no target is told before anything is made
    sky = pointing(radec, catalog)
    from services.engine.embedded import DATABASE_FILE, embedded_settings, process_tree, start_faster

    start_faster()
    from services import log
    from services.ingest.file_names import find_frames
    from services.ingest.given import Given

    given, observations_told = Given(object_name, filter_name, instrument), log_of(observing_log)
    log.configure(level="WARNING")  # until the settings say in which form
    find_frames(raw_dir)  # a folder that cannot be read is told before anything is made
    settings = with_masters(
        embedded_settings(workdir, **sky),
        without,
        use_bias=use_bias,
        use_dark=use_dark,
        use_flat=use_flat,
        alt_bias=alt_bias,
        alt_dark=alt_dark,
        alt_flat=alt_flat,
    )
    settings = with_steps(with_targets(with_reference(settings, reference_frame), targets), until, only)
    require_one_template(settings, template, new_template=new_template)
    log.configure(settings.log_format, "WARNING")
    reading = how_to_read(settings.reading, pattern)
    began = time.monotonic()
    with process_tree(settings, consumers) as tree:
        from services.cli.patience import follow
        from services.cli.plot_command import draw
        from services.cli.stopped_lines import are_asked_alone, show_masters
        from services.cli.summary_lines import results_of, tell_results
        from services.ingest.raw_folder import read_folder
        from services.ingest.wanted import only as only_named
        from services.operating.modes import Modes
        from services.operating.night_outcome import is_success
        from services.operating.reduction import reduce

        with counting("reading headers") as count:
            folder = read_folder(raw_dir, count, settings.frame_bounds, given, reading, observations_told)
        folder, left_out = only_named(folder, only_object or (), only_filter or ())
        if left_out:
            note(f"{left_out} light frames of other targets or filters are left out")
        if forced:
            from services.cli.forced_places import with_forced

            settings = with_forced(tree.engine, settings, forced)
        modes = Modes(existing, missing, new_template, known=template == "known", only=only is not None)
        refused: list[str] = []

        def refuse(line: str) -> None:
            refused.append(line)
            show_error(line)

        observations = reduce(tree, settings, folder, follow, note, refuse, modes)
        if are_asked_alone(settings.choices):
            made = show_masters(tree.engine, settings.choices, as_json)
            raise typer.Exit(0 if made and not refused else 1)
        if not observations:
            raise ConfigurationError(
                f"no observation in {str(raw_dir)!r} could be published: see the messages above; "
                "light frames are needed, calibration frames alone give no light curves"
            )
        results = results_of(tree.engine, observations)

        def drawn(observation: int) -> list[Path]:
            return draw(tree.engine, settings, observation, star, insist=False) if plots else []

        tell_results(results, settings.root / DATABASE_FILE, drawn, as_json=as_json)
    note(f"done in {time.monotonic() - began:.1f} s")
    asked = is_success([one.state for one in results], settings.choices, strict=strict)
    if not asked or (only is not None and refused):
        raise typer.Exit(1)
