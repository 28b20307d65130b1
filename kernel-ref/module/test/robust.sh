# In the guest: daemons that misbehave, over fuse.ko and over fuseref.
. ./common.sh

./robust fuse /mnt/m || failed=yes
./robust fuseref /mnt/m || failed=yes

# Not while somebody uses it.
./mount.fuseref /mnt/m nullfs -s
rmmod fuseref 2>/dev/null && { echo "rmmod of a mounted module"; failed=yes; }
stat /mnt/m/file0 >/dev/null || failed=yes
umount /mnt/m
sleep 0.2
finish
