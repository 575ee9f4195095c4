"""From what an agency sends to the payload of a log entry: files, checks, quarantine, groups."""
