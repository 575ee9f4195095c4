"""Published relations of accidents and their grades, over whole arrays; no I/O but the tables' files beside them.

    major_hazard  R and level of a major hazard source         lec        danger of work
    blast         TNT equivalent → overpressure ⇄ distance      pool_fire  burning rate → flame → heat ⇄ distance
    fireball      BLEVE → heat ⇄ distance, dose, probit         plume      Gaussian plume → concentration ⇄ contour
    stability     wind and sun → Pasquill class                 inverse    where a falling function meets a value

Arguments are numbers or arrays that fit each other; results are float64 arrays of their common shape. Coefficients that
a standard or an author may change are in `*.toml`, with a version, read by `tables`.
"""
