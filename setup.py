"""Builds the protobuf modules before the packages that contain them; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class GenerateThenBuild(build_py):
    def run(self) -> None:
        generate()
        super().run()


def generate() -> None:
    """Compiles every schema under proto/ into the package of the same path."""
    import grpc_tools
    from grpc_tools import protoc

    schemas = sorted(str(path) for path in Path("proto").rglob("*.proto"))
    includes = ["-Iproto", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    import google.rpc

    includes.append(f"-I{Path(google.rpc.__path__[0]).parent.parent}")
    outputs = ["--python_out=.", "--pyi_out=.", "--grpc_python_out=."]
    if protoc.main(["protoc", *includes, *outputs, *schemas]) != 0:
        raise SystemExit("protoc failed")


if __name__ == "__main__":
    setup(cmdclass={"build_py": GenerateThenBuild})
