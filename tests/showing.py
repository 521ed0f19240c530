"""What a traceback with values shows of an error."""

from __future__ import annotations

import traceback


def values_of(error, test):
    """What IPython's Verbose mode, rich and `capture_locals` would show, but for a test's frames.

    Args:
        test: the file of the test.
    """
    texts, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        tb = error.__traceback__
        while tb is not None and tb.tb_frame.f_code.co_filename == test:
            tb = tb.tb_next
        shown = traceback.TracebackException(type(error), error, tb, capture_locals=True)
        texts += [*shown.format(chain=False), repr(error.args), repr(vars(error))]
        while tb is not None:  # as rich: long values by their beginning
            cut = [v[:9] for v in tb.tb_frame.f_locals.values() if isinstance(v, (str, bytes))]
            texts.append(repr(cut))
            tb = tb.tb_next
        error = error.__cause__ or error.__context__
    return "".join(texts)
