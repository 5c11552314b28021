// Rendezvous: how the ranks of a job find each other.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ibot/dist/group.h"

namespace ibot::dist {

/// What a launcher tells one of its processes.
///
///   local_rank      index of the process on its node; selects the GPU
///   master_address  host of the store through which the ranks meet; empty: unknown
///   store_served    the launcher serves that store; otherwise rank 0 does
///   node_address    address at which other nodes reach this one; empty: that of the interface that
///                   leads to another node
///   attempt         distinguishes consecutive attempts (restarts) within one store
///   shell_tasks     above 1: the process runs in the shell of a Slurm job of that many tasks,
///                   without srun, and so is none of them
struct Launch {
  int64_t rank = 0;
  int64_t local_rank = 0;
  int64_t world = 1;
  std::string master_address;
  uint16_t master_port = 0;
  bool store_served = false;
  std::string node_address;
  std::string attempt = "0";
  int64_t shell_tasks = 1;
};

/// Value of an environment variable; nullptr if unset.
using Environment = std::function<const char*(const char*)>;

/// Reads the first complete set of variables among those of torchrun (RANK, WORLD_SIZE,
/// LOCAL_RANK), an MPI (OMPI_COMM_WORLD_RANK of Open MPI, PMI_RANK of MPICH and its derivatives,
/// and others) and a Slurm step (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID); without any, a single
/// process. The master is MASTER_ADDR and MASTER_PORT; by default the first host of a Slurm step
/// with a port derived from the job id, and this node under an MPI that has all ranks on it.
/// IBOT_NODE_ADDRESS becomes node_address. Throws ConfigError if the values are inconsistent, or if
/// a variable says that the process is a rank but none gives the number of ranks.
Launch launch_of(const Environment& variable);
/// launch_of() over this process's environment.
Launch launch_of_process();

/// First host of a Slurm host list: node01 of `node[01-04,7],login`.
std::string first_host(const std::string& list);

struct ConnectOptions {
  torch::Device device = torch::kCPU;
  /// A rank without a heartbeat for this long is lost.
  std::chrono::milliseconds rank_timeout{60000};
  /// So is a live rank that, within Group::InStep, keeps others waiting for this long.
  std::chrono::milliseconds stall_timeout{600000};
  /// How long ranks may take to join.
  std::chrono::milliseconds join_timeout{600000};
  /// Receives one line naming the ranks waited for, once the wait has lasted tell_after.
  std::function<void(const std::string&)> on_wait;
  std::chrono::milliseconds tell_after{10000};
  /// Whether this process has been asked to exit. A silent rank is then named within ten seconds,
  /// whatever rank_timeout, as is one when an operation fails.
  std::function<bool()> leaving;
};

/// Throws ConfigError if this build lacks the communication backend for such devices.
void check_backend(torch::DeviceType device);

/// Joins the other ranks of `launch`: over Gloo on a CPU, NCCL on a GPU; a single process returns a
/// group of one at once. Ranks then monitor each other's heartbeats in the background, so a rank
/// that dies or is stopped is named within rank_timeout. Throws ConfigError if this build lacks the
/// backend and in the shell of a Slurm job of several tasks, PeerError naming ranks that never
/// joined.
Group connect(const Launch& launch, const ConnectOptions& options);

/// The store a launcher serves to its ranks, on a free port of all addresses of this machine.
class RankStore {
 public:
  RankStore();
  ~RankStore();
  RankStore(const RankStore&) = delete;
  RankStore& operator=(const RankStore&) = delete;

  uint16_t port() const;
  /// Tells the ranks of attempt "0" that rank `rank` has exited, and why.
  void report_lost(int64_t rank, const std::string& message);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::dist
