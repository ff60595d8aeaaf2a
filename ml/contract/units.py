"""What numbers are mistaken for: conversions between units, with the words that make one of them likely."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def words(text: str) -> frozenset[str]:
    """The words of a text, with and without an s at the end."""
    found = text.lower().split()
    return frozenset({*found, *(word + "s" for word in found), *(word.removesuffix("s") for word in found)})


LARGE = 8.0  # no season multiplies numbers by as much

MONEY = words("usd eur gbp chf dollar dollars euro euros money price amount fare cost fee paid salary income balance")
LENGTH = words("distance dist mile miles mi km kilometre kilometer metre meter m length")
HEIGHT = words("feet foot ft metre meter m height altitude elevation ceiling depth")
SMALL = words("inch inches in cm mm precip precipitation rain snow width size diameter")
WEIGHT = words("lb lbs pound pounds kg kilogram weight mass g gram")
SPEED = words("mph km/h kmh knot knots kt m/s speed wind gust velocity")
TIME = words("minute minutes min mins second seconds s ms hour hours h duration delay elapsed time latency wait age")
HEAT = words("fahrenheit celsius kelvin f c k degf degc temp temperature dewp dew")
PRESSURE = words("hpa mbar inhg kpa pressure")
SHARE = words("percent % pct share ratio rate humid humidity fraction probability utilisation utilization")
VOLUME = words("gallon gallons litre liter litres liters l fuel volume")


@dataclass(frozen=True)
class Conversion:
    """now = recorded * factor + offset."""

    now: str
    before: str
    factor: float
    hints: frozenset[str] = frozenset()
    offset: float = 0.0

    @property
    def cause(self) -> str:
        """The conversion in words."""
        return f"{self.now} instead of {self.before}"

    @property
    def large(self) -> bool:
        """Whether it changes numbers more than any season does."""
        return max(abs(self.factor), 1 / abs(self.factor)) >= LARGE

    def apply(self, values: Floats) -> Floats:
        """What the recorded values would be now."""
        return np.asarray(values * self.factor + self.offset)

    @property
    def arithmetic(self) -> str:
        """As a person would say it."""
        if self.offset:
            return f"values x {self.factor:.4g} {'+' if self.offset > 0 else '-'} {abs(self.offset):.5g}"
        return (
            f"values are {self.factor:,.4g} times the recorded ones"
            if self.factor >= 1
            else f"values are 1/{1 / self.factor:,.4g} of the recorded ones"
        )


def _both(one: str, other: str, factor: float, hints: frozenset[str]) -> tuple[Conversion, Conversion]:
    """`one` turned into `other` and back."""
    return (
        Conversion(other, one, factor, hints),
        Conversion(one, other, 1 / factor, hints),
    )


CONVERSIONS = (
    *_both("whole units of money", "cents", 100, MONEY),
    *_both("a share of 1", "percent", 100, SHARE),
    *_both("metres", "centimetres", 100, HEIGHT),
    *_both("thousands", "single units", 1000, frozenset()),
    *_both("millions", "single units", 1e6, MONEY),
    *_both("kilometres", "metres", 1000, LENGTH),
    *_both("kilograms", "grams", 1000, WEIGHT),
    *_both("seconds", "milliseconds", 1000, TIME),
    *_both("minutes", "seconds", 60, TIME),
    *_both("hours", "minutes", 60, TIME),
    *_both("hours", "seconds", 3600, TIME),
    *_both("days", "hours", 24, TIME),
    *_both("minutes", "milliseconds", 60_000, TIME),
    *_both("units", "tenths", 10, frozenset()),
    *_both("miles", "kilometres", 1.609344, LENGTH),
    *_both("miles per hour", "km/h", 1.609344, SPEED),
    *_both("miles per hour", "m/s", 0.44704, SPEED),
    *_both("knots", "miles per hour", 1.150779, SPEED),
    *_both("knots", "km/h", 1.852, SPEED),
    *_both("knots", "m/s", 0.514444, SPEED),
    *_both("m/s", "km/h", 3.6, SPEED),
    *_both("feet", "metres", 0.3048, HEIGHT | LENGTH),
    *_both("inches", "centimetres", 2.54, SMALL),
    *_both("inches", "millimetres", 25.4, SMALL),
    *_both("pounds", "kilograms", 0.45359237, WEIGHT),
    *_both("US gallons", "litres", 3.785412, VOLUME),
    *_both("hPa", "inches of mercury", 0.02953, PRESSURE),
    *_both("hPa", "kPa", 0.1, PRESSURE),
    Conversion("Celsius", "Fahrenheit", 5 / 9, HEAT, -160 / 9),
    Conversion("Fahrenheit", "Celsius", 9 / 5, HEAT, 32.0),
    Conversion("Kelvin", "Celsius", 1.0, HEAT, 273.15),
    Conversion("Celsius", "Kelvin", 1.0, HEAT, -273.15),
)
SAME = Conversion("", "", 1.0)
FLIPPED = Conversion("the opposite sign", "the recorded one", -1.0)
KNOWN = MONEY | LENGTH | HEIGHT | SMALL | WEIGHT | SPEED | TIME | HEAT | PRESSURE | SHARE | VOLUME


def plausible(conversion: Conversion, name: str, unit: str) -> float:
    """How well a conversion goes with the column's unit, or without one with its name: 1 fits, 0.25 speaks of something else."""
    said = words(unit) if words(unit) & KNOWN else words(name.replace("_", " "))
    if said & words(conversion.before):
        return 1.0
    if said & conversion.hints:
        return 0.9
    return 0.6 if not said & KNOWN else 0.5 if conversion.large else 0.25
