"""The catalogue as linked data: DCAT-AP in JSON-LD, one node a data set, with the schema of its columns (CSVW). Pure.

    contract (+ what was published of it) → dataset → catalog → JSON-LD document

Terms are of DCAT 3 and DCAT-AP 3; frequencies, access rights, themes and file types are those of the Publications
Office of the European Union. Addresses of files may be relative: they count from the folder of the catalogue.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hub.catalogue.contract import Contract, Kind, Sensitivity, Title
from hub.catalogue.load import agencies, elements
from hub.catalogue.publication import Form, Outgoing, as_held, outgoing

Node = dict[str, Any]

CONTEXT: Final[Node] = {
    "csvw": "http://www.w3.org/ns/csvw#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geosparql": "http://www.opengis.net/ont/geosparql#",
    "schema": "http://schema.org/",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
IDENTIFIER: Final = "urn:cityhub:"
_VOCABULARY: Final = "http://publications.europa.eu/resource/authority/"
_SHENZHEN: Final = "https://sws.geonames.org/1795565/"
_CITY: Final = Title(zh="深圳市城市数据目录", en="Catalogue of the city's data")
_ABOUT: Final = Title(
    zh="城市运营管理中心与应急指挥调度中心共享的数据集", en="Data sets that the city's two centres share"
)
_LANGUAGES: Final = ("ZHO", "ENG")
_LICENCES: Final = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}
_OTHER_LICENCES: Final = "https://spdx.org/licenses/"
_MEDIA_TYPES: Final = "https://www.iana.org/assignments/media-types/"
_THEMES: Final = {
    "public_security": "JUST",
    "economy_trade_information": "ECON",
    "water": "ENVI",
    "planning_and_land": "REGI",
    "urban_management": "REGI",
    "meteorology": "ENVI",
    "emergency_office": "GOVE",
    "work_safety": "GOVE",
    "housing_and_construction": "REGI",
    "culture_sports_tourism": "EDUC",
    "fire_supervision": "JUST",
    "rail_transit": "TRAN",
    "transport": "TRAN",
    "environment": "ENVI",
    "public_health": "HEAL",
    "food_and_drug": "HEAL",
    "market_supervision": "ECON",
    "civil_affairs": "SOCI",
    "education": "EDUC",
    "human_resources": "SOCI",
    "ocean": "ENVI",
    "telecom": "TECH",
    "power": "ENER",
    "gas": "ENER",
    "water_supply": "ENER",
    "metro": "TRAN",
    "ports_and_airport": "TRAN",
    "payment": "ECON",
    "internet": "TECH",
}
_DATATYPES: Final = {
    "boolean": "boolean",
    "int8": "byte",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "uint8": "unsignedByte",
    "uint16": "unsignedShort",
    "uint32": "unsignedInt",
    "uint64": "unsignedLong",
    "float32": "float",
    "float64": "double",
    "string": "string",
    "date": "date",
    "time": "time",
    "timestamp": "dateTime",
    "timestamp_us": "dateTime",
    "binary": "hexBinary",
}
_MOMENT_FORMAT: Final = "yyyy-MM-dd HH:mm:ss.SSSSSS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A file: `address` from the catalogue's folder, `media_type` by IANA, `file_type` of the EU's list, SHA-256 in
    hexadecimal digits."""

    address: str
    media_type: str
    file_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published version of a data set. `first` and `last` are its earliest and latest moment in ISO form, empty where
    no time goes out; `position` is where it was read; `crowd_rows_min` rows at least look alike, 0 where nothing is
    about persons."""

    version: int
    issued: datetime
    position: str
    rows: int
    rows_withheld: int
    crowd_rows_min: int
    first: str
    last: str
    distributions: tuple[Distribution, ...]


def document(node: Node, *, base: str = "") -> Node:
    """The node as a document of its own. `base`: where addresses count from, as seen from the document."""
    return {"@context": {**CONTEXT, **({"@base": base} if base else {})}, **node}


def catalog(datasets: Iterable[Node], *, modified: datetime, title: Title = _CITY) -> Node:
    """A catalogue of nodes that `dataset` made. `modified` in UTC."""
    return {
        "@id": f"{IDENTIFIER}catalogue",
        "@type": "dcat:Catalog",
        "dct:title": _titles(title),
        "dct:description": _titles(_ABOUT),
        "dct:publisher": _agent("cityhub"),
        "dct:language": [_word("language", code) for code in _LANGUAGES],
        "dct:modified": _moment(modified),
        "dct:spatial": _place(None),
        "dcat:themeTaxonomy": {"@id": f"{_VOCABULARY}data-theme"},
        "dcat:dataset": list(datasets),
    }


def dataset(contract: Contract, release: Release | None = None, *, public: bool = False) -> Node:
    """The data set as the centres hold it; with a release, or if `public`, as the public gets it. Raises ValueError for
    a publication that has faults."""
    public = public or release is not None
    columns = outgoing(contract) if public else as_held(contract)
    standards = sorted({one.column.standard for one in columns if one.column.standard})
    node: Node = {
        "@id": f"{IDENTIFIER}data-set:{contract.name}",
        "@type": "dcat:Dataset",
        "dct:identifier": contract.name,
        "dct:title": _titles(contract.title),
        "dct:description": _description(contract, columns),
        "dct:publisher": _agent(contract.agency),
        "dcat:keyword": _keywords(contract),
        "dcat:theme": [_word("data-theme", _THEMES.get(contract.agency, "GOVE"))],
        "dct:accrualPeriodicity": _word("frequency", _frequency(contract, release)),
        "dct:spatial": _place(contract),
        "dct:language": [_word("language", code) for code in _LANGUAGES],
        "dct:accessRights": _word("access-right", "PUBLIC" if public else _access(contract)),
        "dct:conformsTo": [_standard(name) for name in standards],
        "dcat:version": str(release.version if release else contract.version),
        "csvw:tableSchema": table_schema(contract, columns),
    }
    if release is not None:
        node |= _released(contract, release)
    return {key: value for key, value in node.items() if value}


def table_schema(contract: Contract, columns: Sequence[Outgoing]) -> Node:
    """The columns in the terms of CSVW; key and references only where every column of theirs is there."""
    names = {one.name for one in columns if one.rule.form is Form.AS_IS}
    schema: Node = {
        "@type": "csvw:Schema",
        "csvw:column": {"@list": [_schema_of(one) for one in columns]},
    }
    if contract.key and set(contract.key) <= names:
        schema["csvw:primaryKey"] = list(contract.key)
    links = [
        {
            "@type": "csvw:ForeignKey",
            "csvw:columnReference": one.name,
            "csvw:reference": {
                "csvw:resource": {"@id": f"{IDENTIFIER}data-set:{link.data_set}"},
                "csvw:columnReference": link.column,
            },
        }
        for one in columns
        if one.name in names and (link := one.column.reference) is not None and link.data_set != contract.name
    ]
    return schema | ({"csvw:foreignKey": links} if links else {})


def _released(contract: Contract, release: Release) -> Node:
    assert contract.publication is not None
    licence = contract.publication.licence
    withheld = f"Read at position {release.position}; {release.rows} rows"
    if contract.publication.quasi_identifiers:
        withheld += f", {release.rows_withheld} withheld; at least {release.crowd_rows_min} rows look alike"
    period: Node = {"@type": "dct:PeriodOfTime"}
    if release.first:
        kind = "xsd:dateTime" if "T" in release.first else "xsd:date"
        period |= {"dcat:startDate": _typed(kind, release.first), "dcat:endDate": _typed(kind, release.last)}
    return {
        "dct:issued": _moment(release.issued),
        "dct:temporal": period if release.first else {},
        "dct:provenance": {"@type": "dct:ProvenanceStatement", "dct:description": _texts(en=f"{withheld}.")},
        "dcat:distribution": [
            _distribution(contract, one, _LICENCES.get(licence, f"{_OTHER_LICENCES}{licence}"), release)
            for one in release.distributions
        ],
    }


def _distribution(contract: Contract, file: Distribution, licence: str, release: Release) -> Node:
    return {
        "@id": file.address,
        "@type": "dcat:Distribution",
        "dct:title": _titles(contract.title),
        "dcat:accessURL": {"@id": file.address},
        "dcat:downloadURL": {"@id": file.address},
        "dcat:mediaType": {"@id": f"{_MEDIA_TYPES}{file.media_type}"},
        "dct:format": _word("file-type", file.file_type),
        "dcat:byteSize": _typed("xsd:nonNegativeInteger", str(file.size_bytes)),
        "dct:license": {"@id": licence},
        "dct:issued": _moment(release.issued),
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": _typed("xsd:hexBinary", file.sha256),
        },
    }


def _description(contract: Contract, columns: Sequence[Outgoing]) -> list[Node]:
    """A contract describes itself in English; in Chinese it is described by what it holds."""
    unit = agencies().get(contract.agency)
    held = "、".join(one.column.title.zh for one in columns)
    zh = f"{unit.zh if unit else contract.agency}：{contract.title.zh}。包括{held}。"
    return _texts(zh=zh, en=contract.description or contract.title.en)


def _keywords(contract: Contract) -> list[Node]:
    unit = agencies().get(contract.agency)
    both = [contract.title, *([unit] if unit else [])]
    return [text for title in both for text in _titles(title)] + [{"@value": name} for name in contract.systems]


def _frequency(contract: Contract, release: Release | None) -> str:
    """What the hub holds changes as it comes in; files change when somebody publishes."""
    return "CONT" if contract.kind is Kind.EVENT and release is None else "IRREG"


def _access(contract: Contract) -> str:
    found = {column.sensitivity for column in contract.columns}
    if found & {Sensitivity.PERSONAL, Sensitivity.SECRET}:
        return "NON_PUBLIC"
    return "RESTRICTED" if Sensitivity.INTERNAL in found else "PUBLIC"


def _place(contract: Contract | None) -> Node:
    """The city, within the limits that the data set itself sets."""
    box = [elements()[name]["domain"] for name in ("lon", "lat")]
    limits = [(one["min"], one["max"]) for one in box]
    for number, name in enumerate(("lon", "lat")):
        column = next((one for one in contract.columns if one.name == name), None) if contract else None
        if column is not None and (domain := column.domain) is not None and None not in (domain.min, domain.max):
            limits[number] = (domain.min, domain.max)
    (west, east), (south, north) = limits
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    polygon = ", ".join(f"{lon} {lat}" for lon, lat in corners)
    return {
        "@type": "dct:Location",
        "dcat:bbox": _typed("geosparql:wktLiteral", f"POLYGON(({polygon}))"),
        "schema:containedInPlace": {"@id": _SHENZHEN},
    }


def _schema_of(one: Outgoing) -> Node:
    column = one.column
    node: Node = {
        "@type": "csvw:Column",
        "csvw:name": one.name,
        "csvw:title": _titles(column.title),
        "csvw:datatype": _datatype(one),
        "csvw:required": column.required,
        "schema:unitText": one.unit,
        "dct:conformsTo": _standard(column.standard) if column.standard else None,
        "dct:description": f"{one.rule.form} {one.rule.amount}".strip() if one.rule.form is not Form.AS_IS else "",
    }
    return {key: value for key, value in node.items() if value not in ("", None)}


def _datatype(one: Outgoing) -> Node:
    domain = one.column.domain
    base = "decimal" if one.type.startswith("decimal") else _DATATYPES.get(one.type, "json")
    node: Node = {"csvw:base": base}
    if one.type.startswith("timestamp"):
        node["csvw:format"] = _MOMENT_FORMAT
    if domain is not None and one.rule.form is Form.AS_IS:
        if domain.pattern is not None:
            node["csvw:format"] = domain.pattern
        facets = {"minimum": domain.min, "maximum": domain.max, "maxLength": domain.length_max}
        node |= {f"csvw:{name}": value for name, value in facets.items() if value is not None}
    return node


def _agent(name: str) -> Node:
    title = agencies().get(name)
    return {
        "@id": f"{IDENTIFIER}agency:{name}",
        "@type": "foaf:Agent",
        "foaf:name": _titles(title) if title else [{"@value": name}],
    }


def _standard(name: str) -> Node:
    return {"@id": f"{IDENTIFIER}standard:{name.replace(' ', '_')}", "@type": "dct:Standard", "dct:title": name}


def _word(vocabulary: str, code: str) -> Node:
    return {"@id": f"{_VOCABULARY}{vocabulary}/{code}"}


def _titles(title: Title) -> list[Node]:
    return _texts(zh=title.zh, en=title.en)


def _texts(**texts: str) -> list[Node]:
    return [{"@value": text, "@language": language} for language, text in texts.items()]


def _typed(kind: str, value: str) -> Node:
    return {"@type": kind, "@value": value}


def _moment(moment: datetime) -> Node:
    return _typed("xsd:dateTime", f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z")
