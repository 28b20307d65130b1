# In the guest: stamps of every request, in order, none lost; what they cost; drops are counted.
. ./common.sh

./mount.fuseref /mnt/m nullfs -s -o attr_timeout=0,entry_timeout=0,direct_io
wait_for_mount
./calls /mnt/m 2 >/dev/null
requests() { awk '{n += $2} END {print n}' /sys/kernel/debug/fuseref/*/requests; }
forgets() { awk '$1 == 2 || $1 == 42 {n += $2} END {print n + 0}' /sys/kernel/debug/fuseref/*/requests; }

before=$(($(requests) - $(forgets)))
./stamps -o all.tsv ./calls /mnt/m 100 2>/dev/null || failed=yes
sleep 0.1
after=$(($(requests) - $(forgets)))
stamped=$(wc -l <all.tsv)
# The last RELEASE may end after the reader has looked for the last time.
if [ $((after - before - stamped)) -gt 2 ] || [ $stamped -gt $((after - before)) ]; then
    echo "stamps: $stamped of $((after - before)) requests"
    failed=yes
fi
# created <= queued <= taken <= replied <= ended <= running (0: nobody waited)
awk '{ for (i = 11; i <= 15; i++)
           if ($i < $(i - 1) && !(i == 15 && $i == 0)) wrong++ }
     END { if (wrong) print "stamps: " wrong " out of order"; exit wrong > 0 }' all.tsv || failed=yes

# statfs is one request; six stamps and a record.
off=$(./calls /mnt/m 2000 statfs | cut -d' ' -f2)
on=$(./stamps ./calls /mnt/m 2000 statfs 2>&1 >/dev/null | cut -d' ' -f2)
echo "stamps: $stamped requests; statfs $off ns, stamped $on ns: $(((on - off) / 6)) ns a stamp"
umount /mnt/m
sleep 0.2

# A ring too small for what comes between two looks of the reader.
rmmod fuseref
insmod /modules/fuseref.ko stamps=16
./mount.fuseref /mnt/m nullfs -s -o attr_timeout=0
wait_for_mount
./stamps ./calls /mnt/m 500 statfs >/dev/null 2>dropped
[ $? = 3 ] && grep -q dropped dropped || { echo "stamps: drops were not counted"; failed=yes; }
umount /mnt/m
sleep 0.2
rm -f all.tsv
finish
