// How the ranks of a job find each other.
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
///   local_rank      number of the process on its node; chooses the GPU
///   master_address  host of the store through which the ranks meet; empty: not told
///   store_served    the launcher holds that store; else rank 0 does
///   node_address    address of this node that the others reach; empty: that of the interface that
///                   leads to another node
///   attempt         tells apart jobs that follow each other in one store
///   shell_tasks     above 1: the process was started in the shell of a Slurm job of so many tasks,
///                   without srun, and so is not one of them
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

/// Value of a variable; nullptr where it is not set.
using Environment = std::function<const char*(const char*)>;

/// From the variables of torchrun (RANK, WORLD_SIZE, LOCAL_RANK), of an MPI (OMPI_COMM_WORLD_RANK
/// of Open MPI, PMI_RANK of MPICH and its kin, and others) or of a step of Slurm (SLURM_PROCID,
/// SLURM_NTASKS, SLURM_LOCALID), the first that are set; alone without any. The master is
/// MASTER_ADDR and MASTER_PORT; without them the first host of a Slurm step and a port made of the
/// job's number; with an MPI this node if it has all ranks. IBOT_NODE_ADDRESS becomes node_address.
/// Throws ConfigError where they make no sense, and where a variable says that the process is a
/// rank while none says of how many.
Launch launch_of(const Environment& variable);
/// Of this process.
Launch launch_of_process();

/// First host of a list as Slurm writes it: `node[01-04,7],login` begins with node01.
std::string first_host(const std::string& list);

struct ConnectOptions {
  torch::Device device = torch::kCPU;
  /// A rank that shows no sign of life for so long is lost.
  std::chrono::milliseconds rank_timeout{60000};
  /// So is one that lives and, while it is Group::InStep, keeps others waiting for so long.
  std::chrono::milliseconds stall_timeout{600000};
  /// How long ranks may take to come.
  std::chrono::milliseconds join_timeout{600000};
  /// Is told in one line whom this rank waits for, once that has taken tell_after.
  std::function<void(const std::string&)> on_wait;
  std::chrono::milliseconds tell_after{10000};
  /// Whether this process has been told to end. A rank that is silent is then named within ten
  /// seconds, whatever rank_timeout, as one is when an operation fails.
  std::function<bool()> leaving;
};

/// Throws ConfigError where this build lacks what ranks on such devices talk through.
void check_backend(torch::DeviceType device);

/// Meets the other ranks of `launch`: over Gloo on a CPU, over NCCL on a GPU. A group of one meets
/// nobody. Ranks then watch each other in the background, so that a rank that dies or is stopped
/// is named within rank_timeout. Throws ConfigError where this build lacks what the device needs
/// and in the shell of a Slurm job of several tasks, PeerError naming the ranks that did not come.
Group connect(const Launch& launch, const ConnectOptions& options);

/// The store of a launcher's ranks, on a free port of every address of this machine.
class RankStore {
 public:
  RankStore();
  ~RankStore();
  RankStore(const RankStore&) = delete;
  RankStore& operator=(const RankStore&) = delete;

  uint16_t port() const;
  /// Tells the ranks of attempt "0" that rank `rank` has ended, and why.
  void report_lost(int64_t rank, const std::string& message);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::dist
