"""Who is fitted beside whom: runs that draw the same rows form a team.

The rows of a batch are fetched once for a whole team, and its first layers are one
matrix product. Shapes are fixed, because another width of vmap gives other last bits.
"""

from collections.abc import Hashable, Sequence


def waves(
    team: Sequence[Hashable], width: int, devices: int = 1
) -> list[list[list[int]]]:
    """Waves of teams of lanes: numbers of runs, int[T][L] in each wave.

    team: for each run, what it shares with its team; width: lanes side by side on a
    device. A team larger than that, or too large for every device to have one, is cut
    evenly. What is short is filled up with its last run, a wave with its last team.

    Example: of runs 0 to 4, two teams of which the second has a single run:
        >>> waves(["a", "a", "a", "b", "a"], width=8)
        [[[0, 1, 2, 4], [3, 3, 3, 3]]]
    """
    members: dict[Hashable, list[int]] = {}
    for number, name in enumerate(team):
        members.setdefault(name, []).append(number)
    largest = max(map(len, members.values()))
    lanes = _up(largest, max(_up(largest, width), _up(devices, len(members))))
    cut = [
        _filled(mine[first : first + lanes], lanes)
        for mine in members.values()
        for first in range(0, len(mine), lanes)
    ]
    wave = min(max(1, width // lanes), _up(len(cut), devices)) * devices
    return [_filled(cut[i : i + wave], wave) for i in range(0, len(cut), wave)]


def _up(number: int, parts: int) -> int:
    return -(-number // parts)


def _filled(items: list, size: int) -> list:
    return items + items[-1:] * (size - len(items))
