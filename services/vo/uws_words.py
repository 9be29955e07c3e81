"""Jobs as documents of UWS."""

from collections.abc import Iterable
from datetime import datetime

from services.vo.uws_jobs import COMPLETED, ERROR, Job
from services.vo.writing.votable_words import attribute, content

NAMES = (
    'xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.1"'
)


def moment(time: datetime | None) -> str:
    """A time as DALI writes it."""
    return "" if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def _optional(tag: str, value: str) -> str:
    return f"<uws:{tag}>{content(value)}</uws:{tag}>\n" if value else f'<uws:{tag} xsi:nil="true"/>\n'


def _once(job: Job, name: str) -> str:
    return (job.parameters.get(name) or [""])[0]


def job_words(job: Job, address: str) -> str:
    """One job; ``address`` is its own."""
    run_id = f"<uws:runId>{content(_once(job, 'RUNID'))}</uws:runId>\n" if _once(job, "RUNID") else ""
    error = ""
    if job.phase == ERROR:
        said = f"<uws:message>{content(job.error)}</uws:message>"
        error = f'<uws:errorSummary type="fatal" hasDetail="true">{said}</uws:errorSummary>\n'
    return (
        f"<uws:job {NAMES}>\n<uws:jobId>{job.job_id}</uws:jobId>\n{run_id}"
        f"{_optional('ownerId', job.owner)}"
        f"<uws:phase>{job.phase}</uws:phase>\n{_optional('quote', '')}"
        f"<uws:creationTime>{moment(job.created)}</uws:creationTime>\n"
        f"{_optional('startTime', moment(job.started))}{_optional('endTime', moment(job.ended))}"
        f"<uws:executionDuration>{job.seconds:.0f}</uws:executionDuration>\n"
        f"<uws:destruction>{moment(job.destruction)}</uws:destruction>\n"
        f"{_parameters(job)}{_results(job, address)}{error}</uws:job>\n"
    )


def job_list(jobs: Iterable[Job], address: str) -> str:
    """Jobs in short; ``address`` is the list's."""
    listed = "".join(
        f"<uws:jobref id={attribute(job.job_id)} xlink:href={attribute(f'{address}/{job.job_id}')}>"
        f"<uws:phase>{job.phase}</uws:phase>"
        + (f"<uws:runId>{content(_once(job, 'RUNID'))}</uws:runId>" if _once(job, "RUNID") else "")
        + f"<uws:creationTime>{moment(job.created)}</uws:creationTime></uws:jobref>\n"
        for job in jobs
    )
    return f"<uws:jobs {NAMES}>\n{listed}</uws:jobs>\n"


def parameters_words(job: Job) -> str:
    """Its parameters alone."""
    return _parameters(job, NAMES.removesuffix(' version="1.1"'))


def results_words(job: Job, address: str) -> str:
    """Its results alone."""
    return _results(job, address, NAMES.removesuffix(' version="1.1"'))


def _parameters(job: Job, names: str = "") -> str:
    listed = "".join(
        f"<uws:parameter id={attribute(name)}>{content(value)}</uws:parameter>\n"
        for name, values in job.parameters.items()
        for value in values
    )
    return f"<uws:parameters {names}>\n{listed}</uws:parameters>\n"


def _results(job: Job, address: str, names: str = "") -> str:
    result = ""
    if job.phase == COMPLETED and job.result is not None:
        result = (
            f'<uws:result id="result" xlink:type="simple" xlink:href={attribute(f"{address}/results/result")} '
            f"mime-type={attribute(job.media_type)}/>\n"
        )
    return f"<uws:results {names}>\n{result}</uws:results>\n"
