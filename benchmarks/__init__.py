"""Benchmarks: `python -m benchmarks run NAME --size smoke|quick|full [--json FILE|-]`.

Each `bench_NAME` module has `SIZES` (parameters by size) and `run(parameters, folder) -> Outcome`. The harness adds
commit and machine, prints a table, and writes one JSON object. Results worth keeping lie in `results/`.
"""
