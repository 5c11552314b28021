#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "ibot/base/error.h"
#include "ibot/dist/rendezvous.h"

namespace ibot::dist {
namespace {

/// Ports below are often taken; those from 32768 on are ephemeral ports on Linux.
constexpr int64_t kFirstPort = 20000;
constexpr int64_t kPorts = 12000;
constexpr int64_t kDefaultPort = 29500;
constexpr int64_t kLastPort = 65535;

int64_t number_in(const Environment& variable, const char* name) {
  const char* text = variable(name);
  IBOT_CHECK_AS(ConfigError, text != nullptr, name,
                ": expected a number, found no such variable; start every process through one "
                "launcher");
  const std::string_view digits(text);
  int64_t number = -1;
  const auto parsed = std::from_chars(digits.begin(), digits.end(), number);
  IBOT_CHECK_AS(ConfigError, parsed.ec == std::errc() && parsed.ptr == digits.end() && number >= 0,
                name, ": expected a number, got ", text);
  return number;
}

int64_t number_or(const Environment& variable, const char* name, int64_t otherwise) {
  return variable(name) == nullptr ? otherwise : number_in(variable, name);
}

/// Names of a launcher's variables; nullptr if it has none.
struct Names {
  const char* rank;
  const char* world;
  const char* local_rank;
  const char* local_world = nullptr;
};

constexpr Names kTorchrun{"RANK", "WORLD_SIZE", "LOCAL_RANK"};
constexpr Names kSlurm{"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"};
constexpr Names kPmi{"PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"};

/// Launchers that leave MASTER_ADDR to the user. More specific ones precede those whose variables
/// they also set. A process started by mpirun within a Slurm job has Slurm's variables too, with
/// the same values on every rank, so these are tried first.
constexpr std::array kMpis{
    Names{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
          "OMPI_COMM_WORLD_LOCAL_SIZE"},
    Names{"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK",
          "MV2_COMM_WORLD_LOCAL_SIZE"},
    Names{"JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_LOCAL_RANK",
          "JSM_NAMESPACE_LOCAL_SIZE"},
    Names{"FLUX_TASK_RANK", "FLUX_JOB_SIZE", "FLUX_TASK_LOCAL_ID"},
    Names{"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},  // MPICH, Intel MPI
    Names{"PMI_RANK", "PMI_SIZE", "PALS_LOCAL_RANKID", "PMI_LOCAL_SIZE"},
    kPmi};

/// Variables by which launchers number their processes.
constexpr std::array kSignsOfARank{"RANK",
                                   "OMPI_COMM_WORLD_RANK",
                                   "MV2_COMM_WORLD_RANK",
                                   "JSM_NAMESPACE_RANK",
                                   "FLUX_TASK_RANK",
                                   "PMI_RANK",
                                   "PMI_ID",
                                   "PMIX_RANK",
                                   "PALS_RANKID",
                                   "ALPS_APP_PE",
                                   "MPI_LOCALRANKID"};

Launch ranks_of(const Environment& variable, const Names& names) {
  Launch launch;
  launch.rank = number_in(variable, names.rank);
  launch.world = number_in(variable, names.world);
  IBOT_CHECK_AS(ConfigError, launch.rank < launch.world, names.rank, ": expected a number below ",
                names.world, " = ", launch.world, ", got ", launch.rank);
  launch.local_rank = number_or(variable, names.local_rank, 0);
  const bool one_node =
      names.local_world != nullptr && number_or(variable, names.local_world, 0) == launch.world;
  if (one_node) launch.master_address = "127.0.0.1";
  return launch;
}

/// Whether srun started this process as a task. The shell of a job has a rank as well, but either
/// no step id or one of the ids that Slurm reserves for shells.
bool in_slurm_step(const Environment& variable) {
  constexpr int64_t kFirstOfShells = 0xfffffff0;
  return variable(kSlurm.world) != nullptr && variable("SLURM_STEP_ID") != nullptr &&
         number_in(variable, "SLURM_STEP_ID") < kFirstOfShells;
}

/// srun sets the PMI variables as well, but only its own say on which node a rank is.
bool is_of_srun(const Environment& variable, const Names& names) {
  return names.rank == std::string_view(kPmi.rank) && in_slurm_step(variable) &&
         number_in(variable, names.world) == number_in(variable, kSlurm.world);
}

/// The variables of the MPI that started this process; nullptr if none did. A set that includes the
/// local rank is preferred.
const Names* mpi_of(const Environment& variable) {
  const Names* found = nullptr;
  for (const auto& names : kMpis) {
    if (variable(names.world) == nullptr || is_of_srun(variable, names)) continue;
    if (variable(names.local_rank) != nullptr) return &names;
    if (found == nullptr) found = &names;
  }
  return found;
}

/// Number of tasks of the Slurm job in whose shell this process runs; 1 elsewhere.
int64_t tasks_of_shell(const Environment& variable) {
  int64_t tasks = 1;
  if (variable("SLURM_JOB_ID") == nullptr || in_slurm_step(variable)) return tasks;
  for (const char* name : {kSlurm.world, "SLURM_NTASKS_PER_NODE", "SLURM_JOB_NUM_NODES"}) {
    tasks = std::max(tasks, number_or(variable, name, 1));
  }
  return tasks;
}

void refuse_unknown_launcher(const Environment& variable) {
  for (const char* name : kSignsOfARank) {
    IBOT_CHECK_AS(
        ConfigError, variable(name) == nullptr, name,
        ": expected the number of ranks as well, found no such variable; set RANK, "
        "WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT for every process, or unset ",
        name, " for one alone");
  }
}

/// Host of the step's first task; empty if unknown.
std::string slurm_master(const Environment& variable) {
  for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"}) {
    if (const char* hosts = variable(name)) return first_host(hosts);
  }
  return {};
}

/// All ranks compute the same port; two steps of one job, or two jobs on one node, rarely collide.
int64_t slurm_port(const Environment& variable) {
  const auto job = number_or(variable, "SLURM_JOB_ID", 0);
  const auto step = number_or(variable, "SLURM_STEP_ID", 0);
  return kFirstPort + (job * 7 + step) % kPorts;
}

}  // namespace

std::string first_host(const std::string& list) {
  std::string host;
  // "node[01-04,7],other": the first alternative of each bracket, up to the first comma outside.
  for (size_t i = 0; i < list.size() && list[i] != ','; ++i) {
    if (list[i] != '[') {
      host += list[i];
      continue;
    }
    const auto end = list.find_first_of("-,]", i);
    IBOT_CHECK_AS(ConfigError, end != std::string::npos && list.find(']', i) != std::string::npos,
                  "hosts: expected a list as node[01-04,7], got ", list);
    host += list.substr(i + 1, end - i - 1);
    i = list.find(']', i);
  }
  return host;
}

Launch launch_of(const Environment& variable) {
  Launch launch;
  int64_t port = kDefaultPort;
  // torchrun first: it may itself run within an MPI job or a Slurm step.
  if (variable(kTorchrun.world) != nullptr) {
    launch = ranks_of(variable, kTorchrun);
  } else if (const Names* mpi = mpi_of(variable)) {
    launch = ranks_of(variable, *mpi);
  } else if (in_slurm_step(variable)) {
    launch = ranks_of(variable, kSlurm);
    launch.master_address = slurm_master(variable);
    port = slurm_port(variable);
  } else {
    refuse_unknown_launcher(variable);
    launch.shell_tasks = tasks_of_shell(variable);
  }
  // Explicit variables take precedence over what the launcher implies.
  if (const char* address = variable("MASTER_ADDR")) launch.master_address = address;
  port = number_or(variable, "MASTER_PORT", port);
  IBOT_CHECK_AS(ConfigError, port <= kLastPort, "MASTER_PORT: expected at most ", kLastPort,
                ", got ", port);
  launch.master_port = static_cast<uint16_t>(port);
  if (const char* address = variable("IBOT_NODE_ADDRESS")) launch.node_address = address;
  // torchrun's agent serves the store, and after a restart its processes meet in the same one: the
  // restart count keeps them from reading keys of the former attempt.
  const char* served = variable("TORCHELASTIC_USE_AGENT_STORE");
  launch.store_served = served != nullptr && std::string_view(served) == "True";
  if (const char* count = variable("TORCHELASTIC_RESTART_COUNT")) launch.attempt = count;
  return launch;
}

Launch launch_of_process() {
  return launch_of([](const char* name) -> const char* { return std::getenv(name); });
}

}  // namespace ibot::dist
