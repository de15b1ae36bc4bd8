"""Runs Autobahn's cases by kosoku: `client ADDRESS [CASE...]` against a server, or `server [CASE...]` for
a client, whose first line is its address. Prints a line for each case: its number, what the exchange came
to and what the closing did. That something failed is for the reader of these lines to say."""

import asyncio
import sys

from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver


async def main():
    side, *rest = sys.argv[1:]
    try:
        if side == "client":
            address, *cases = rest
            # One after the other: some are about how soon an answer comes.
            results = await run_fuzzingclient(address, cases or None, None, concurrency=1)
        else:
            async with run_fuzzingserver(rest or None, None, host="127.0.0.1", port=0) as server:
                print(f"127.0.0.1:{server.port}", flush=True)
                results = await server.get_result()
    except FailureError as failure:
        results = failure.results
    for result in results:
        print(f"{result.case_id}\t{result.behavior.value}/{result.behavior_close.value}")


asyncio.run(main())
