"""The plot of a backtest: one seed block by block, and the PnL of all seeds."""

from pathlib import Path

from tests.backtest.figures import Snapshot
from tests.backtest.report import Report, mean_and_error


def plot(report: Report, snapshots: list[Snapshot], path: Path) -> None:
    """Draw price, quotes, fills, position and PnL of the first seed, and the PnL of all.

    Raises:
        ImportError: matplotlib is not installed.
        OSError, ValueError: the file cannot be written, or its kind is unknown.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, figsize=(11, 11), layout="constrained", height_ratios=(3, 1, 1.5, 1.5))
    prices, positions, profits, seeds = axes
    blocks = [one.block for one in snapshots]

    prices.fill_between(blocks, [one.bid for one in snapshots], [one.offer for one in snapshots], color="0.85", label="best bid to offer")
    for name, color, quotes in (
        ("own bid", "tab:blue", [one.own_bid for one in snapshots]),
        ("own offer", "tab:red", [one.own_offer for one in snapshots]),
    ):
        prices.plot(blocks, [float("nan") if price is None else price for price in quotes], color=color, linewidth=0.8, label=name)
    for name, color, marker, fills in (
        ("bought", "tab:blue", "^", [(one.block, price) for one in snapshots for price in one.bought]),
        ("sold", "tab:red", "v", [(one.block, price) for one in snapshots for price in one.sold]),
    ):
        prices.scatter([block for block, _ in fills], [price for _, price in fills], color=color, marker=marker, s=18, zorder=3, label=name)
    prices.set(title=f"{report.rule} on {report.market}, seed {report.results[0].seed}, {report.traders} traders", ylabel="price")
    prices.margins(y=0.15)  # room for the legend
    prices.legend(loc="upper left", ncols=5, fontsize="small")

    positions.step(blocks, [one.position for one in snapshots], where="post", color="black", linewidth=0.9)
    positions.set(ylabel="position")
    profits.plot(blocks, [one.pnl for one in snapshots], color="tab:green")
    profits.set(ylabel=f"PnL, {report.asset}", xlabel="block")
    for one in (positions, profits):
        one.sharex(prices)
        one.axhline(0, color="0.5", linewidth=0.6)

    width = 0.4 if report.other_results else 0.8
    numbers = range(len(report.results))
    seeds.bar([number - width / 2 for number in numbers], [result.pnl for result in report.results], width, align="edge", label=report.rule)
    if report.other_results:
        pnls = [result.pnl for result in report.other_results]
        seeds.bar([number + width / 2 for number in numbers], pnls, width, align="edge", label=report.against)
    seeds.axhline(0, color="0.5", linewidth=0.6)
    average, error = mean_and_error([result.pnl for result in report.results])
    spread = "" if error is None else f" ± {error:.2f}"
    seeds.set(xticks=list(numbers), xticklabels=[str(result.seed) for result in report.results], xlabel="seed")
    seeds.set(ylabel=f"PnL, {report.asset}", title=f"all seeds: mean {average:.2f}{spread}")
    seeds.legend(loc="upper left", bbox_to_anchor=(0.0, -0.3), ncols=2, fontsize="small")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
