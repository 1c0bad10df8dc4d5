# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Images from everywhere, whole or not at all, and what they say of themselves.
load helpers

# A layout with the busybox image tagged "it"; its path is in $layout.
make_layout() {
	layout=$BATS_TEST_TMPDIR/layout
	skopeo copy -q "oci-archive:$BUSYBOX_ARCHIVE" "oci:$layout:it" >/dev/null
}

# add_layer TAG DIRECTORY [TAR ARGUMENT...]: the directory's contents as one more layer, as they are.
add_layer() {
	local tag=$1 directory=$2
	shift 2
	[ $# -gt 0 ] || set -- .
	tar -C "$directory" --numeric-owner -cPf "$BATS_TEST_TMPDIR/layer.tar" "$@"
	umoci raw add-layer --image "$layout:$tag" "$BATS_TEST_TMPDIR/layer.tar"
}

# An empty store for this test alone.
own_store() {
	export CAISSON_DATA=$BATS_TEST_TMPDIR/data
}

# What a load has not finished or not tidied up.
temporary_files() {
	find "$CAISSON_DATA/images/temporary" -mindepth 1 2>/dev/null
}

@test "from a layout, an OCI archive, a Docker archive and a directory" {
	make_layout
	skopeo copy -q "oci:$layout:it" "oci-archive:$BATS_TEST_TMPDIR/oci.tar:it" >/dev/null
	skopeo copy -q "oci:$layout:it" "docker-archive:$BATS_TEST_TMPDIR/docker.tar:it:latest" >/dev/null
	umoci raw unpack --image "$layout:it" "$BATS_TEST_TMPDIR/root"
	caisson load --name from-layout "oci:$layout:it"
	caisson load --name from-oci "oci-archive:$BATS_TEST_TMPDIR/oci.tar"
	caisson load --name from-docker "docker-archive:$BATS_TEST_TMPDIR/docker.tar"
	caisson load --name from-directory "dir:$BATS_TEST_TMPDIR/root"
	caisson load --name from-input <"$BATS_TEST_TMPDIR/oci.tar"
	for name in from-layout from-oci from-docker from-directory from-input; do
		run caisson run --rm "$name" echo "hello $name"
		expect_status 0
		[ "$output" = "hello $name" ]
	done
	# The same image by four ways is kept once.
	[ "$(caisson images --no-trunc --format '{{.Name}} {{.ID}}' | grep -E '^from-(layout|oci|docker|input)' | awk '{ print $2 }' | sort -u | wc -l)" = 1 ]
	for name in from-layout from-oci from-docker from-directory from-input; do caisson rmi "$name"; done
}

@test "layers: whiteouts, opaque directories, replaced kinds, hard links, devices, attributes" {
	make_layout
	one=$BATS_TEST_TMPDIR/one two=$BATS_TEST_TMPDIR/two
	mkdir -p "$one"/{dir/sub,opaque,was-dir} "$two"/{dir,opaque}
	echo 1 | tee "$one"/{dir/kept,dir/gone,dir/sub/deep,opaque/below,was-dir/x,was-file,linked} >/dev/null
	ln "$one/linked" "$one/other-name"
	ln -s dir "$one/symlink"
	mknod "$one/null" c 1 3
	cp /bin/busybox "$one/busybox-capable"
	setcap cap_net_raw+ep "$one/busybox-capable"
	setfattr -n user.note -v hello "$one/linked"
	chown 12:34 "$one/dir/kept"
	chmod 7754 "$one/dir/kept"
	add_layer it "$one" --xattrs --xattrs-include='*' .
	touch "$two/dir/.wh.gone" "$two/dir/.wh.sub" "$two/opaque/.wh..wh..opq" "$two/opaque/above" "$two/was-dir"
	mkdir "$two/was-file"
	echo 2 >"$two/was-file/y"
	add_layer it "$two"
	caisson load --name layers "oci:$layout:it"
	run caisson run --rm layers sh -c '
		ls /dir /opaque; ls -d /was-dir /was-file/y
		stat -c %u:%g:%a /dir/kept
		[ /linked -ef /other-name ] && stat -c %h /linked
		cat /symlink/kept; stat -c %F:%t:%T /null'
	expect_status 0
	diff -u - <(echo "$output") <<<$'/dir:\nkept\n\n/opaque:\nabove\n/was-dir\n/was-file/y\n12:34:7754\n2\n1\ncharacter special file:1:3'
	# The file's capability is in effect for a user who has none.
	run caisson run --rm -u 1000 layers /busybox-capable grep CapPrm /proc/self/status
	expect_output 0000000000002000
	caisson rmi layers
}

@test "what the image says of itself is what happens" {
	make_layout
	umoci config --image "$layout:it" --config.user nobody --config.entrypoint sh --config.entrypoint -c \
		--config.cmd 'echo "$(id -un) $PWD $COLOUR $HOME"; grep -c " /data " /proc/self/mountinfo' \
		--config.env COLOUR=blue --config.workingdir /var/tmp/new --config.volume /data --config.exposedports 80/tcp
	caisson load --name speaks "oci:$layout:it"
	run caisson run --rm speaks
	expect_status 0
	[ "${lines[0]}" = "nobody /var/tmp/new blue $(caisson run --rm busybox sh -c 'grep ^nobody: /etc/passwd | cut -d : -f 6')" ]
	[ "${lines[1]}" = 1 ]
	run caisson run --rm speaks 'echo instead'
	[ "$output" = instead ]
	run caisson run --rm --entrypoint echo -e COLOUR=red -u 0 -w / speaks plain
	[ "$output" = plain ]
	caisson rmi speaks
}

@test "the image's stop signal is the one that stop sends" {
	make_layout
	umoci config --image "$layout:it" --config.stopsignal SIGUSR1
	caisson load --name stops "oci:$layout:it"
	id=$(caisson run -d --name s stops sh -c 'trap "exit 9" USR1; echo ready; while :; do sleep 0.1; done')
	wait_for_line "$CAISSON_DATA/containers/$id/log" ready
	caisson stop -t 60 s
	run caisson wait s
	[ "$output" = 9 ]
	caisson rm s
	caisson rmi stops
}

@test "a user by number with a group by name, and one that the image does not have" {
	run caisson run --rm -u 4242:nogroup busybox sh -c 'id -u; id -gn'
	expect_status 0
	[ "$output" = $'4242\nnogroup' ]
	make_layout
	umoci config --image "$layout:it" --config.user no-such-one
	caisson load --name nobody-there "oci:$layout:it"
	run caisson run --rm nobody-there true
	expect_status 125
	expect_one_sentence
	expect_output no-such-one
	caisson rmi nobody-there
}

@test "layers compressed with zstd" {
	make_layout
	zstd=$BATS_TEST_TMPDIR/zstd
	skopeo copy -q --dest-compress --dest-compress-format zstd "oci:$layout:it" "dir:$zstd" >/dev/null
	skopeo copy -q "dir:$zstd" "oci:$zstd-layout:it" >/dev/null
	grep -q 'tar+zstd' "$zstd-layout"/blobs/sha256/* || skip "this skopeo writes no zstd"
	caisson load --name small "oci:$zstd-layout:it"
	run caisson run --rm small echo fine
	[ "$output" = fine ]
	caisson rmi small
}

@test "of several platforms this machine's is taken, and where it is missing those there are are named" {
	make_layout
	index=$layout/index.json
	jq '.manifests[0].platform = {"os": "linux", "architecture": "amd64"}
		| .manifests += [.manifests[0] | .platform.architecture = "s390x" | .digest = "sha256:" + ("0" * 64)]' "$index" >"$index.new"
	inner=$(jq '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [.manifests[] | del(.annotations)]}' "$index.new")
	# store_index JSON: as a blob that the layout's index names.
	store_index() {
		local digest
		digest=$(printf %s "$1" | sha256sum | cut -d ' ' -f 1)
		printf %s "$1" >"$layout/blobs/sha256/$digest"
		jq -n --arg digest "sha256:$digest" --argjson size "${#1}" '{schemaVersion: 2, manifests: [{digest: $digest, size: $size,
			mediaType: "application/vnd.oci.image.index.v1+json", annotations: {"org.opencontainers.image.ref.name": "it"}}]}' >"$index"
	}
	store_index "$inner"
	caisson load --name many "oci:$layout:it"
	run caisson run --rm many echo mine
	[ "$output" = mine ]
	caisson rmi many
	store_index "$(jq -c 'del(.manifests[0])' <<<"$inner")"
	run caisson load --name many "oci:$layout:it"
	[ "$status" -ne 0 ]
	expect_one_sentence
	expect_output s390x
}

@test "a layer that is not what its digest says is refused" {
	own_store
	make_layout
	blob=$(find "$layout/blobs" -type f -size +100k)
	printf 'X' | dd of="$blob" bs=1 seek=5000 conv=notrunc 2>/dev/null
	run caisson load --name damaged "oci:$layout:it"
	[ "$status" -ne 0 ]
	expect_one_sentence
	run caisson run --rm damaged true
	expect_status 125
	[ -z "$(temporary_files)" ]
}

@test "names that lead out of the image are refused" {
	mkdir -p "$BATS_TEST_TMPDIR/evil/inside"
	echo evil >"$BATS_TEST_TMPDIR/evil/inside/pwned"
	for transform in 's,^inside,../../../../../tmp/caisson-evil,' 's,^inside,dir/../../../tmp/caisson-evil,'; do
		rm -rf "$BATS_TEST_TMPDIR/layout"
		make_layout
		add_layer it "$BATS_TEST_TMPDIR/evil" --transform "$transform" inside/pwned
		run caisson load --name evil "oci:$layout:it"
		[ "$status" -ne 0 ]
		expect_one_sentence
		[ ! -e /tmp/caisson-evil ]
	done
	# A link out of the image and a file through it.
	rm -rf "$BATS_TEST_TMPDIR/layout"
	make_layout
	mkdir "$BATS_TEST_TMPDIR/linked"
	ln -s ../../../../../../tmp "$BATS_TEST_TMPDIR/linked/inside"
	add_layer it "$BATS_TEST_TMPDIR/linked"
	add_layer it "$BATS_TEST_TMPDIR/evil" --transform 's,pwned,caisson-evil,' inside/pwned
	run caisson load --name evil "oci:$layout:it"
	[ ! -e /tmp/caisson-evil ]
	[ "$status" -ne 0 ]
	expect_one_sentence
	[ -z "$(temporary_files)" ]
}

@test "two loads of one image at once share the work" {
	own_store
	caisson load --name one -i "$BUSYBOX_ARCHIVE" >/dev/null 3>&- &
	first=$!
	caisson load --name two -i "$BUSYBOX_ARCHIVE" >/dev/null 3>&- &
	wait "$first"
	wait "$!"
	[ "$(find "$CAISSON_DATA/images/rootfs" -name '*.erofs' | wc -l)" = 1 ]
	[ -z "$(temporary_files)" ]
	run caisson run --rm one echo fine
	[ "$output" = fine ]
}

@test "a load that is killed leaves nothing that a run would use" {
	own_store
	mkfifo "$BATS_TEST_TMPDIR/half"
	caisson load --name busybox -i - <"$BATS_TEST_TMPDIR/half" >/dev/null 2>&1 3>&- &
	loader=$!
	exec {feed}>"$BATS_TEST_TMPDIR/half"
	# All but what fits a pipe has been read when this returns.
	head -c 500000 "$BUSYBOX_ARCHIVE" >&"$feed"
	kill -9 "$loader"
	wait "$loader" || true
	exec {feed}>&-
	run caisson run --rm --pull never busybox true
	expect_status 125
	caisson load --name busybox -i "$BUSYBOX_ARCHIVE" >/dev/null
	run caisson run --rm busybox echo whole
	[ "$output" = whole ]
	[ -z "$(temporary_files)" ]
}

@test "an archive that ends early" {
	head -c 500000 "$BUSYBOX_ARCHIVE" >"$BATS_TEST_TMPDIR/short.tar"
	run caisson load --name short -i "$BATS_TEST_TMPDIR/short.tar"
	[ "$status" -ne 0 ]
	expect_one_sentence
	run caisson load --name absent -i /no/such/file
	[ "$status" -ne 0 ]
	expect_one_sentence
	expect_output /no/such/file
	[ -z "$(temporary_files)" ]
}

@test "an image in use stays, and the container is named" {
	own_store
	caisson load --name used -i "$BUSYBOX_ARCHIVE" >/dev/null
	id=$(caisson run -d --name user used sleep 1000)
	run caisson rmi used
	[ "$status" -ne 0 ]
	expect_one_sentence
	expect_output "$id"
	caisson rm -f user
	caisson rmi used
	run caisson images --format '{{.Name}}'
	[[ "$output" != *used* ]]
	[ -z "$(find "$CAISSON_DATA/images/rootfs" -type f)" ]
}

@test "names: found as docker finds them, unknown ones are named" {
	own_store
	caisson load --name registry.test/team/tool:1.0 -i "$BUSYBOX_ARCHIVE" >/dev/null
	run caisson run --rm registry.test/team/tool:1.0 echo fine
	[ "$output" = fine ]
	id=$(caisson images --no-trunc --format '{{.ID}}' | sort -u)
	run caisson run --rm "$id" echo by-digest
	[ "$output" = by-digest ]
	run caisson run --rm --pull never no/such:image true
	expect_status 125
	expect_one_sentence
	expect_output no/such:image
	run caisson rmi no/such:image
	[ "$status" -ne 0 ]
	expect_one_sentence
	run caisson run --rm 'not a name!' true
	expect_status 125
	expect_one_sentence
}

@test "a registry that does not answer is one sentence" {
	run timeout 180 caisson pull 127.0.0.1:1/tool:latest
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	expect_one_sentence
	expect_output 127.0.0.1:1/tool
	[ -z "$(temporary_files)" ]
}

# serve_registry: the layout as team/tool:1 in a registry at 127.0.0.1:18095, read-only and without log-in; its
# pid is in $registry.
serve_registry() {
	local answer=$BATS_TEST_TMPDIR/answer
	ip link set lo up
	printf 'layout=%q\n' "$layout" | cat - /dev/fd/3 >"$answer" 3<<-'END'
		IFS=' ' read -r method path _
		while IFS= read -r header && [ "${header%$'\r'}" ]; do :; done
		manifest=$(jq -r '.manifests[0].digest' "$layout/index.json")
		type=application/octet-stream
		case $path in
		/v2/) file=$layout/oci-layout ;;
		/v2/team/tool/manifests/1) file=$layout/blobs/${manifest/://} ;;
		/v2/team/tool/manifests/sha256:* | /v2/team/tool/blobs/sha256:*) file=$layout/blobs/sha256/${path##*:} ;;
		*) file=/none ;;
		esac
		[[ $path == */manifests/* ]] && type=application/vnd.oci.image.manifest.v1+json
		if ! [ -f "$file" ]; then
			printf 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
			exit
		fi
		printf 'HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n' \
			"$type" "$(stat -c %s "$file")"
		[ "$method" = HEAD ] || cat "$file"
	END
	socat TCP4-LISTEN:18095,bind=127.0.0.1,reuseaddr,fork EXEC:"bash $answer" 2>/dev/null 3>&- &
	registry=$!
	patiently bash -c 'until : </dev/tcp/127.0.0.1/18095; do :; done' 2>/dev/null
}

@test "from a registry, and what it does not have" {
	own_store
	make_layout
	serve_registry
	run caisson pull --tls-verify false 127.0.0.1:18095/team/tool:1
	expect_status 0
	run caisson run --rm --pull never 127.0.0.1:18095/team/tool:1 echo pulled
	expect_status 0
	[ "$output" = pulled ]
	run caisson pull --tls-verify false 127.0.0.1:18095/team/tool:2
	[ "$status" -ne 0 ]
	expect_one_sentence
	# Two at once: one transfer, both have it.
	caisson rmi 127.0.0.1:18095/team/tool:1
	caisson pull --quiet --tls-verify false 127.0.0.1:18095/team/tool:1 >"$BATS_TEST_TMPDIR/first" 3>&- &
	first=$!
	caisson pull --quiet --tls-verify false 127.0.0.1:18095/team/tool:1 >"$BATS_TEST_TMPDIR/second" 3>&-
	wait "$first"
	cmp "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	kill "$registry"
	[ -z "$(temporary_files)" ]
}
