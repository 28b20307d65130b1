# In the guest: the transport `channels` with libfuse's own threads, a clone of the device each.
. ./common.sh

./robust fuseref /mnt/m -o transport=channels,channels=3 || failed=yes
./robust fuseref /mnt/m -o transport=channels,channels=1,busy_wait_us=0 || failed=yes

# libfuse opens /dev/fuse by that name to clone it.
mount -o bind /dev/fuseref /dev/fuse
# load NAME OPTIONS: four programs at once, then one alone with stamps.
load() {
    local name=$1 programs
    fresh_source
    ./mount.fuseref -o "$2" /mnt/m stackfs -o source=/tmp/source,clone_fd,attr_timeout=0,entry_timeout=0
    wait_for_mount
    cp calls /mnt/m/copy && cmp calls /mnt/m/copy || { echo "$name: a copy differs"; failed=yes; }
    programs=""
    for i in 1 2 3 4; do
        mkdir /mnt/m/$i
        cp /tmp/source/file0 /mnt/m/$i/
        ./calls /mnt/m/$i 100 >/dev/null &
        programs="$programs $!"
    done
    for i in $programs; do
        wait $i || { echo "$name: calls failed"; failed=yes; }
    done
    ./stamps ./calls /mnt/m 300 stat read_4k write_4k 2>&1 | sed "s/^/$name: /"
    umount /mnt/m
    sleep 0.3
}
load classic transport=classic
load channels transport=channels
load "channels, no busy wait" transport=channels,busy_wait_us=0
umount /dev/fuse
finish
