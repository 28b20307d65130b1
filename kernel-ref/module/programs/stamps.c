// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a command and tells what its requests over fuseref went through.
 *
 *   stamps [-o FILE] COMMAND [ARGUMENT]...
 *
 * FILE gets a line for each request: unique, opcode, error, bytes in and out, CPU
 * of caller, taking, reply and running again, and the six stamps (ns, CLOCK_MONOTONIC;
 * 0: did not happen). Standard output gets mean phases by opcode, named as in fusesim's
 * results. Exits as the command does; 3 if stamps were dropped.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stamps.h"

#define OPCODES 64

static struct sum {
	unsigned long long count, background, queue, processing, reply, total;
} sums[OPCODES];

static char *rings;
static size_t ring_size;
static unsigned int cpus;
static FILE *table;

static struct fr_stamps_header *ring_of(unsigned int cpu)
{
	return (struct fr_stamps_header *)(rings + cpu * ring_size);
}

static void add(const struct fr_stamp *stamp)
{
	const __u64 *at = stamp->at;
	struct sum *sum = &sums[stamp->opcode < OPCODES ? stamp->opcode : 0];
	/* A background request has no waiter: it is over when it is parsed. */
	__u64 end = at[FR_RUNNING] ? at[FR_RUNNING] : at[FR_ENDED];

	if (table) {
		unsigned int i;

		fprintf(table, "%llu\t%u\t%d\t%u\t%u\t%u\t%u\t%u\t%u", (unsigned long long)stamp->unique,
			stamp->opcode, stamp->error, stamp->in_size, stamp->out_size,
			stamp->caller_cpu, stamp->taken_cpu, stamp->replied_cpu, stamp->running_cpu);
		for (i = 0; i < FR_STAGES; i++)
			fprintf(table, "\t%llu", (unsigned long long)at[i]);
		fprintf(table, "\n");
	}
	if (!at[FR_CREATED] || !at[FR_QUEUED] || !at[FR_TAKEN] || !at[FR_REPLIED] || !end)
		return;	/* never got that far, or began before this program */
	sum->count++;
	sum->background += at[FR_QUEUED] - at[FR_CREATED];
	sum->queue += at[FR_TAKEN] - at[FR_QUEUED];
	sum->processing += at[FR_REPLIED] - at[FR_TAKEN];
	sum->reply += end - at[FR_REPLIED];
	sum->total += end - at[FR_CREATED];
}

static void drain(void)
{
	unsigned int cpu;

	for (cpu = 0; cpu < cpus; cpu++) {
		struct fr_stamps_header *ring = ring_of(cpu);
		const struct fr_stamp *records = (const struct fr_stamp *)(ring + 1);
		__u64 written = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE);
		__u64 read;

		for (read = ring->read; read < written; read++)
			add(&records[read & (ring->capacity - 1)]);
		__atomic_store_n(&ring->read, read, __ATOMIC_RELEASE);
	}
}

static unsigned long long dropped(void)
{
	unsigned long long all = 0;
	unsigned int cpu;

	for (cpu = 0; cpu < cpus; cpu++)
		all += ring_of(cpu)->dropped;
	return all;
}

static void map_rings(void)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int fd = open("/dev/fuseref_stamps", O_RDWR | O_CLOEXEC);
	struct fr_stamps_header *first;
	unsigned int cpu;

	if (fd < 0) {
		perror("/dev/fuseref_stamps");
		exit(4);
	}
	first = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	if (first == MAP_FAILED || first->magic != FR_STAMPS_MAGIC ||
	    first->record_size != sizeof(struct fr_stamp)) {
		fprintf(stderr, "stamps: the module's records are of another version\n");
		exit(4);
	}
	cpus = first->cpus;
	ring_size = (sizeof(*first) + first->capacity * sizeof(struct fr_stamp) + page - 1) / page *
		    page;
	rings = mmap(NULL, cpus * ring_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (rings == MAP_FAILED) {
		perror("mmap");
		exit(4);
	}
	for (cpu = 0; cpu < cpus; cpu++)
		ring_of(cpu)->read = ring_of(cpu)->written;	/* what went before is not ours */
}

int main(int argc, char **argv)
{
	unsigned long long before;
	const char *file = NULL;
	int option, status;
	unsigned int i;
	pid_t child;

	while ((option = getopt(argc, argv, "+o:")) != -1) {
		if (option != 'o')
			return 2;
		file = optarg;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: stamps [-o FILE] COMMAND [ARGUMENT]...\n");
		return 2;
	}
	if (file && !(table = fopen(file, "w"))) {
		perror(file);
		return 1;
	}
	map_rings();
	before = dropped();
	child = fork();
	if (!child) {
		dup2(2, 1);
		execvp(argv[optind], argv + optind);
		perror(argv[optind]);
		_exit(127);
	}
	while (waitpid(child, &status, WNOHANG) == 0) {
		drain();
		usleep(20000);
	}
	drain();
	if (table)
		fclose(table);
	printf("opcode     count  background       queue  processing       reply    latency (mean ns)\n");
	for (i = 0; i < OPCODES; i++) {
		const struct sum *sum = &sums[i];

		if (sum->count)
			printf("%6u %9llu %11llu %11llu %11llu %11llu %10llu\n", i, sum->count,
			       sum->background / sum->count, sum->queue / sum->count,
			       sum->processing / sum->count, sum->reply / sum->count,
			       sum->total / sum->count);
	}
	if (dropped() > before) {
		fprintf(stderr, "stamps: %llu dropped\n", dropped() - before);
		return 3;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
