# The reports of depgraph with the programs that read them: a real browser,
# Mermaid's parser, Graphviz, systemd. Without this step those tests skip.
integrity=sha512-4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw==
apt_need chromium chromium
apt_need dot graphviz
apt_need systemd-analyze systemd
apt_need npm npm
apt_need openssl openssl
[ -n "$(ls /var/lib/apt/lists/*_main_binary-*_Packages* 2>/dev/null)" ] || apt-get update -qq >&2

mermaid=$ci_cache/mermaid-$MERMAID
if [ ! -f "$mermaid/package/dist/mermaid.min.js" ]; then
  mkdir -p "$mermaid"
  tgz=$mermaid/$(cd "$mermaid" && npm pack --silent "mermaid@$MERMAID")
  got=sha512-$(openssl dgst -sha512 -binary "$tgz" | openssl base64 -A)
  [ "$got" = "$integrity" ] || { printf 'mermaid: integrity is %s, want %s\n' "$got" "$integrity" >&2; exit 1; }
  tar -xzf "$tgz" -C "$mermaid" package/dist/mermaid.min.js
fi

# A skipped test must not look like a passed one.
passed() { # FOLDER PACKAGE TEST...
  local dir=$1 pkg=$2 out name
  shift 2
  out=$(cd "$dir" && go test -count=1 -v -run "$(IFS='|'; printf '%s' "$*")" "$pkg") || { printf '%s\n' "$out" >&2; return 1; }
  for name in "$@"; do
    printf '%s\n' "$out" | grep -q "^--- PASS: $name " || { echo "$name did not run" >&2; return 1; }
    echo "$name passes"
  done
}
export MERMAID=$mermaid/package/dist/mermaid.min.js
passed docs/benchmarks ./depgraph TestPage_works_in_a_browser TestPage_names_cannot_inject TestPage_of_2000_services_opens TestPage_edges_run_around_boxes \
  TestPage_focus_deep_link_and_groups TestPage_what_if_follows_the_engine TestPage_of_many_services_begins_with_groups_and_is_walked_by_keys \
  TestPage_of_a_huge_system_is_tables TestMermaid_parses
passed . ./depgraph/report TestDOT_is_accepted_by_dot
passed . ./depgraph/importer TestSystemd_agrees_with_systemd_analyze TestSystemd_units_of_this_machine_have_no_ordering_cycle
passed docs/benchmarks ./depgraph TestCompose_agrees_with_compose_go TestWeight_of_Declare
passed . ./depgraph TestDebian_package_index
