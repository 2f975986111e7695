# Sourced by the scripts that use packages of another Debian suite than the one this machine runs. The
# system's own apt state is only read: lists, caches and source entries for a suite live in the user's
# cache folder.

PATH=$PATH:/usr/sbin:/sbin
cache=${XDG_CACHE_HOME:-$HOME/.cache}/minnow

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# The base URI of the Debian mirror that this machine already uses.
debian_uri() {
  apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
    sed -n 's/ Debian$//p' | sed -n 1p
}

# suite_line SUITE: the sources.list line for it.
suite_line() {
  uri=$(debian_uri)
  [ -n "$uri" ] || die "apt knows no Debian mirror here; run apt-get update, then try again"
  printf 'deb [signed-by=%s] %s %s main\n' /usr/share/keyrings/debian-archive-keyring.gpg "$uri" "$1"
}

# suite_apt SUITE COMMAND ARGUMENT...: runs apt-get or apt-cache over that suite alone.
suite_apt() {
  suite=$1 command=$2 state=$cache/apt/$1
  shift 2
  "$command" -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" \
    -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

# suite_update SUITE: fetches what suite_apt reads.
suite_update() {
  mkdir -p "$cache/apt/$1/lists/partial" "$cache/apt/$1/cache/archives/partial"
  suite_line "$1" >"$cache/apt/$1/sources.list"
  suite_apt "$1" apt-get -qq update >&2 || die "the package lists of $1 could not be fetched"
}

# copy_modules TREE FOLDER MODULE...: copies the modules and all they need out of an unpacked kernel
# package, named so that their alphabetical order is the order to load them in.
copy_modules() {
  tree=$1 folder=$2 count=100
  shift 2
  for file in $(for module; do
    modprobe -d "$tree" -S "$(ls "$tree/lib/modules")" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
  done | awk '!seen[$0]++'); do
    count=$((count + 1))
    case $file in
      *.xz) xz -dc "$file" >"$folder/$count-$(basename "$file" .xz)" ;;
      *) cp "$file" "$folder/$count-$(basename "$file")" ;;
    esac
  done
}
