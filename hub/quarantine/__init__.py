"""Rows that were rejected, put right and sent again.

    quarantine, less what quarantine_resolutions has → list, export → a file → somebody mends it → resubmit
                                                                        → rows, and then their resolutions

`open_rows` says which rows are still open, `lines` is the file's form, `resubmission` brings it in.
"""
