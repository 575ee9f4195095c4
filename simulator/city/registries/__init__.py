"""The smaller registries: places, stations, networks, people to call. A function a data set; each yields one batch.

Codes of things are a letter and the number of the thing: `W00012`. What stands in a building has its place and code.
"""

from simulator.city.registries.hazards import (
    CHEMICALS,
    RISK_CATEGORIES,
    RISK_GROUPS,
    firms_of_risk_points,
    hazard_points,
    hazardous_chemicals,
    major_hazard_sources,
    risk_categories,
    risk_points,
)
from simulator.city.registries.means import (
    EXPERTS,
    emergency_plans,
    emergency_supplies,
    experts,
    flights,
    rescue_stations,
)
from simulator.city.registries.networks import (
    MEDIA,
    cleaning_sections,
    construction_works,
    fire_hydrants,
    pipeline_places,
    pipelines,
    road_sections,
    street_furniture,
)
from simulator.city.registries.placing import TODAY, Batches, codes
from simulator.city.registries.sites import hospitals, schools, shelters, venues, welfare_homes
from simulator.city.registries.spatial import building_rows, district_rows, grid_rows, street_rows
from simulator.city.registries.stations import (
    WATER_CLASSES,
    base_stations,
    geological_places,
    geological_points,
    ocean_stations,
    power_meters,
    rail_stations,
    station_places,
    water_stations,
    weather_stations,
)

__all__ = [
    "CHEMICALS",
    "EXPERTS",
    "MEDIA",
    "RISK_CATEGORIES",
    "RISK_GROUPS",
    "TODAY",
    "WATER_CLASSES",
    "Batches",
    "base_stations",
    "building_rows",
    "cleaning_sections",
    "codes",
    "construction_works",
    "district_rows",
    "emergency_plans",
    "emergency_supplies",
    "experts",
    "fire_hydrants",
    "firms_of_risk_points",
    "flights",
    "geological_places",
    "geological_points",
    "grid_rows",
    "hazard_points",
    "hazardous_chemicals",
    "hospitals",
    "major_hazard_sources",
    "ocean_stations",
    "pipeline_places",
    "pipelines",
    "power_meters",
    "rail_stations",
    "rescue_stations",
    "risk_categories",
    "risk_points",
    "road_sections",
    "schools",
    "shelters",
    "station_places",
    "street_furniture",
    "street_rows",
    "venues",
    "water_stations",
    "weather_stations",
    "welfare_homes",
]
