"""Trains Vowpal Wabbit from its cache and plays what it learned. Prints one JSON object: seconds of the fastest of
RUNS trainings, and the share of held-out lines for which the greedy action is the right one.
Usage: rate.py RUNS TRAIN.vw HELD_OUT.vw RIGHT.txt OPTIONS...
"""
import json, os, sys, tempfile, time
import vowpalwabbit

def main(runs, train, held, right, options):
    with tempfile.TemporaryDirectory() as d:
        args = " ".join(options) + f" --quiet -d {train} --cache_file {d}/cache"
        vowpalwabbit.Workspace(args).finish()  # writes the cache
        assert os.path.getsize(f"{d}/cache") > 0
        best = float("inf")
        for _ in range(runs):
            begin = time.perf_counter()
            vw = vowpalwabbit.Workspace(args + f" -f {d}/model")
            vw.finish()
            best = min(best, time.perf_counter() - begin)
        vw = vowpalwabbit.Workspace(f"--quiet -t -i {d}/model")
    wanted = [int(v) for v in open(right)]
    hits = 0
    for example, want in zip(open(held).read().split("\n\n") if "_adf" in " ".join(options) else open(held), wanted):
        said = vw.predict(example.strip().split("\n") if "_adf" in " ".join(options) else example.strip())
        if isinstance(said, list):
            said = said.index(min(said)) + 1
        hits += said == want
    vw.finish()
    print(json.dumps({"seconds": best, "right": hits / len(wanted), "version": vowpalwabbit.__version__}))

if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:5], sys.argv[5:])
