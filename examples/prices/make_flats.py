"""
Write ``flats.csv``: flats that were never sold, with the holes that tables from real life have.

    python make_flats.py            # the market of 2024
    python make_flats.py 2025       # a year later: dearer, and other flats
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

FLATS: Final = Path(__file__).with_name("flats.csv")
COUNT: Final = 400
FIRST_YEAR: Final = 2024
YEARLY_GROWTH: Final = 1.2

#: Euros for each square metre.
DISTRICTS: Final = {"harbour": 5200, "hill": 4300, "old town": 6100, "station": 3400}
#: The factor of each kind of heating in a price.
HEATINGS: Final = {"district": 1.0, "gas": 0.97, "heat pump": 1.06}


def make_flats(year: int = FIRST_YEAR) -> pd.DataFrame:
    """
    Return the flats of a year; the same year gives the same flats.

    One value in ten is missing, prices excepted.
    """
    random = np.random.default_rng(year)
    area = random.uniform(25, 140, COUNT).round()
    flats = pd.DataFrame(
        {
            "area": area,
            "rooms": np.clip((area / 28 + random.normal(0, 0.5, COUNT)).round(), 1, None),
            "year": random.integers(1890, FIRST_YEAR, COUNT).astype(float),
            "district": random.choice(list(DISTRICTS), COUNT),
            "heating": random.choice(list(HEATINGS), COUNT),
        }
    )
    price = area * flats["district"].map(DISTRICTS) * flats["heating"].map(HEATINGS)
    price *= 1 + (flats["year"] - 1960) / 400
    price *= YEARLY_GROWTH ** (year - FIRST_YEAR) * random.normal(1, 0.03, COUNT)
    flats = flats.mask(random.random(flats.shape) < 0.1)
    return flats.assign(price=price.round())


if __name__ == "__main__":
    year = int(sys.argv[1]) if len(sys.argv) > 1 else FIRST_YEAR
    make_flats(year).to_csv(FLATS, index=False)
    print(f"{FLATS.name}: {COUNT} flats of {year}")
