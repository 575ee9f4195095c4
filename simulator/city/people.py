"""Persons and legal persons, block by block: `residents`, `insured_people`, `legal_persons`, `food_businesses`.

Persons live in households of three, in dwellings of their building. Names are common surnames before common given
names. One person in 2 is insured by an employer; one firm in 20 sells food. A few residents have no building and a few
employers are deregistered, as in real registries: `answers` knows which.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hub.ingest.codes import digits, strings
from simulator.city import identities
from simulator.city.chance import Dice, Flags, Ints, shuffled
from simulator.city.plan import City
from simulator.city.rows import batch, days, pick, where

BLOCK: Final = 65_536
HOMELESS_EVERY: Final = 997  # Every so manyth person has no building,
CLOSED_EVERY: Final = 53  # every so manyth legal person is deregistered,
ABROAD_EVERY: Final = 31  # and every so manyth is represented by nobody who lives here.
FOOD_EVERY: Final = 20
_HOUSEHOLD: Final = 3
_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许邓韩冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任沈"
)
_GIVEN: Final = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂文辉玲华红建国志海燕小梅婷宇浩然子轩欣怡"
INDUSTRIES: Final = (
    *("manufacturing", "construction", "wholesale_retail", "transport", "catering_lodging", "information", "finance"),
    *("real_estate", "business_services", "science", "education", "health", "culture", "chemicals", "other"),
)
_INDUSTRY_SHARES: Final = (0.14, 0.06, 0.34, 0.04, 0.07, 0.09, 0.02, 0.03, 0.1, 0.04, 0.02, 0.01, 0.01, 0.01, 0.02)
_INDUSTRY_ZH: Final = [
    "制造",
    "建筑",
    "商贸",
    "物流",
    "餐饮",
    "信息技术",
    "金融",
    "地产",
    "商务服务",
    "科技",
    "教育",
    "医疗",
    "文化",
    "化工",
    "实业",
]


def residents(city: City) -> Iterator[pa.RecordBatch]:
    return (residents_of(city, persons) for persons in _blocks(city.people))


def residents_of(city: City, persons: Ints, version: int = 0) -> pa.RecordBatch:
    """These persons' rows; another version has other telephones, and nothing else."""
    dice = Dice(city.seed, "residents", persons)
    home = city.home_of(persons)
    buildings = city.buildings
    dwelling = (persons - city.person_starts[home]) // _HOUSEHOLD
    floor = digits(1 + dwelling % buildings.floors[home], 3)
    room = digits(1 + dwelling // buildings.floors[home], 2)
    return batch(
        "residents",
        {
            "resident_id": city.person_codes(persons),
            "name": pick(_person_names(), dice.below(len(_person_names()), 1)),
            "sex": pick(("male", "female"), city.is_female(persons).astype(np.int8)),
            "birth_date": days(identities.births(persons)),
            "building_code": where(~is_homeless(persons), city.building_codes.take(pa.array(home))),
            "dwelling": strings(np.concatenate((floor, room), axis=1)),
            "district": pick(city.district_names, buildings.places.district[home]),
            "phone": _phones(13_000_000_000, dice, version),
        },
    )


def legal_persons(city: City) -> Iterator[pa.RecordBatch]:
    return (legal_persons_of(city, firms) for firms in _blocks(city.firms))


def legal_persons_of(city: City, firms: Ints, version: int = 0) -> pa.RecordBatch:
    """These legal persons' rows; another version has other telephones, and nothing else."""
    dice = Dice(city.seed, "legal_persons", firms)
    seat = city.seat_of(firms)
    industry = np.searchsorted(np.cumsum(_INDUSTRY_SHARES), dice.unit(1)).clip(0, len(INDUSTRIES) - 1)
    word = pick(_firm_words(), dice.below(len(_firm_words()), 2))
    number = strings(digits(firms + 1, 7))
    return batch(
        "legal_persons",
        {
            "credit_code": city.firm_codes(firms),
            "name": pc.binary_join_element_wise("深圳", word, number, pick(_INDUSTRY_ZH, industry), "有限公司", ""),
            "kind": "enterprise",
            "industry": pick(INDUSTRIES, industry),
            "status": pick(("active", "deregistered"), is_closed(firms).astype(np.int8)),
            "representative_id": representative_codes(city, firms),
            "building_code": city.building_codes.take(pa.array(seat)),
            "district": pick(city.district_names, city.buildings.places.district[seat]),
            "employees": np.exp(1.6 + 1.3 * dice.bell(3)).astype(np.int32) + 1,
            "founded_on": days(20_500 - 16_000 * dice.unit(4) ** 2),
            "phone": _phones(75_520_000_000, dice, version),
        },
    )


def insured_people(city: City) -> Iterator[pa.RecordBatch]:
    """Every other person, in the order of persons."""
    return (insured_people_of(city, places * 2) for places in _blocks(insured_count(city)))


def insured_people_of(city: City, persons: Ints, version: int = 0) -> pa.RecordBatch:
    """Another version is insured since another day, and nothing else."""
    since = Dice(city.seed, "insured_people", persons).unit(1 + version)
    return batch(
        "insured_people",
        {
            "resident_id": city.person_codes(persons),
            "credit_code": city.firm_codes(employer_of(city, persons)),
            "insured_since": days(20_500 - 9_000 * since**2),
        },
    )


def insured_count(city: City) -> int:
    return city.people // 2


def food_businesses(city: City) -> Iterator[pa.RecordBatch]:
    """Every twentieth legal person."""
    kinds = ("restaurant", "canteen", "shop", "producer", "drugstore")
    for places in _blocks(food_count(city)):
        dice = Dice(city.seed, "food_businesses", places)
        yield batch(
            "food_businesses",
            {
                "credit_code": city.firm_codes(places * FOOD_EVERY),
                "kind": pick(kinds, dice.below(5, 1)),
                "grade": pick(("A", "B", "C"), np.searchsorted((0.5, 0.9), dice.unit(2))),
                "licensed_until": days(20_700 + dice.below(1_300, 3)),
            },
        )


def food_count(city: City) -> int:
    return max(1, city.firms // FOOD_EVERY)


def is_homeless(persons: Ints) -> Flags:
    return np.equal((persons + 1) % HOMELESS_EVERY, 0)


def employer_of(city: City, persons: Ints) -> Ints:
    return shuffled(persons, max(city.people, city.firms)) % city.firms


def is_closed(firms: Ints) -> Flags:
    return np.equal((firms + 1) % CLOSED_EVERY, 0)


def is_represented_from_abroad(firms: Ints) -> Flags:
    return np.equal((firms + 1) % ABROAD_EVERY, 0)


def representative_codes(city: City, firms: Ints) -> pa.Array:
    """A resident's ID number, or of those represented from abroad one that no resident has."""
    persons = shuffled(firms, max(city.people, city.firms)) % city.people
    return city.person_codes(np.where(is_represented_from_abroad(firms), city.people + firms, persons))


def _blocks(count: int) -> Iterator[Ints]:
    return (np.arange(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK))


def _phones(first: int, dice: Dice, version: int) -> pa.Array:
    return strings(digits(first + dice.below(69_999_999, 10 + version), 11))


@cache
def _person_names() -> pa.Array:
    pairs = [first + second for first, second in zip(_GIVEN, _GIVEN[7:], strict=False)]
    return pa.array([surname + given for surname in _SURNAMES for given in (*_GIVEN, *pairs)])


@cache
def _firm_words() -> pa.Array:
    letters = "鹏华海天盛达兴宏顺安泰鑫瑞祥丰和金腾博远新创科润恒通联合信"
    return pa.array([first + second for first in letters for second in letters])
