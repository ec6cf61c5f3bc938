# What changed in the exported API of the root module since the version before:
# printed, and from v1 on an incompatible change is a failure.
last=$(git describe --tags --abbrev=0 --match 'v*.*.*' HEAD^ 2>/dev/null) || { echo "no version yet"; exit 0; }
apidiff=$(tool "$APIDIFF")
dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/last" 2>/dev/null || true; rm -rf "$dir"' EXIT
git worktree add -q --detach "$dir/last" "$last"
(cd "$dir/last" && "$apidiff" -m -w "$dir/api" github.com/failopen/failopen)
"$apidiff" -m "$dir/api" github.com/failopen/failopen | tee "$dir/changes"
case "$last" in v0.*) exit 0 ;; esac
broken=$("$apidiff" -m -incompatible "$dir/api" github.com/failopen/failopen)
[ -z "$broken" ] || { echo "incompatible with $last" >&2; exit 1; }
