"""A folder into which agencies put files, each loaded once.

    DIR/<agency>/*.toml          mappings: which files (`match`), which data set, which column is which
    DIR/<agency>/<file>          what comes; without a mapping it goes by its name, <data_set>[_anything].<suffix>
    DIR/<agency>/done/           files that were loaded, each with <file>.report.json beside it
    DIR/<agency>/rejected/       files that were not, in the same way

Parts, in the order of a file's way: `folders` finds it → `settle` says that nobody writes to it any more → `assign`
says what it is → `rounds` has it loaded, writes its report and moves it.

At each moment a file is in one place. It is moved when all its rows are acknowledged and its report is on disk; after a
crash before that it is loaded again under the same producer's name, which its content decides, and the hub takes no row
twice. Nothing is sent of a file before it was read to its end. What is not covered: a sender that goes on writing after
a file did not change for the time to settle. Files that end in `.part` or `.tmp` or begin with a dot are left alone:
write under such a name, then rename.
"""
