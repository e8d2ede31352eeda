// Hands commands to the threads of the compute units and counts the ended ones.
#include "card/compute_units.hpp"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "card/refusal.hpp"

namespace dovetail::card {
namespace {

// Kernels keep their on-chip memories in local arrays; a U280 has 43 MB of them.
constexpr std::size_t stack_bytes = std::size_t{64} << 20;

// How long a thread looks around before it sleeps: waking one costs more than most launches take.
constexpr auto alert = std::chrono::microseconds(40);

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

template <typename Condition>
void look_out_for(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + alert;
  while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

struct Worker {
  pthread_t thread{};
  std::size_t unit = 0;
  bool busy = false;  // from the moment that a command is meant for it
  std::condition_variable wake;
};

}  // namespace

// Owned by the workers too: one that hangs outlives the card.
struct ComputeUnits::Shared {
  std::mutex mutex;
  std::condition_variable ended_one;
  std::deque<Command> pending;
  std::atomic<std::size_t> pending_count{0};  // readable without the mutex
  std::vector<std::unique_ptr<Worker>> workers;
  std::atomic<std::size_t> ended{0};
  bool closing = false;
  Execute execute;

  void start(const std::shared_ptr<Shared>& self, std::size_t unit);
  void work(Worker& worker);
  /// Takes the oldest command that `unit` may run.
  bool take(std::size_t unit, Command& command);
};

ert_cmd_opcode Command::opcode() const {
  ert_packet copy{};
  copy.header = std::atomic_ref(packet()->header).load(std::memory_order_acquire);
  return static_cast<ert_cmd_opcode>(copy.opcode);
}

void Command::set_state(ert_cmd_state state) const {
  const std::atomic_ref<std::uint32_t> header(packet()->header);
  ert_packet changed{};
  changed.header = header.load(std::memory_order_relaxed);
  changed.state = state;
  header.store(changed.header, std::memory_order_release);
}

void Command::note_times(std::uint64_t running_ns, ert_cmd_state ended) const {
  auto* start = reinterpret_cast<ert_start_kernel_cmd*>(packet());
  if (opcode() != ERT_START_CU || start->stat_enabled == 0) return;
  cu_cmd_state_timestamps* times = ert_start_kernel_timestamps(start);
  const auto end = reinterpret_cast<std::byte*>(times + 1) - buffer->host();
  if (static_cast<std::uint64_t>(end) > buffer->bytes()) return;
  const auto note = [&](ert_cmd_state state, std::uint64_t ns) {
    std::atomic_ref(times->skc_timestamps[state]).store(ns, std::memory_order_release);
  };
  note(ERT_CMD_STATE_NEW, queued_ns);
  note(ERT_CMD_STATE_QUEUED, queued_ns);
  note(ERT_CMD_STATE_RUNNING, running_ns);
  note(ended, now_ns());
}

bool ComputeUnits::Shared::take(std::size_t unit, Command& command) {
  for (auto next = pending.begin(); next != pending.end(); ++next) {
    if (!next->allowed[unit]) continue;
    command = std::move(*next);
    pending.erase(next);
    --pending_count;
    return true;
  }
  return false;
}

void ComputeUnits::Shared::work(Worker& worker) {
  std::unique_lock lock(mutex);
  while (!closing) {
    Command command;
    if (!take(worker.unit, command)) {
      worker.busy = false;
      worker.wake.wait(lock);
      continue;
    }
    worker.busy = true;
    lock.unlock();
    command.set_state(ERT_CMD_STATE_RUNNING);
    const std::uint64_t running_ns = now_ns();
    const ert_cmd_state state =
        execute(command, worker.unit) ? ERT_CMD_STATE_COMPLETED : ERT_CMD_STATE_ERROR;
    command.note_times(running_ns, state);
    lock.lock();
    command.set_state(state);
    if (!command.silent) {
      ++ended;
      ended_one.notify_one();
    }
    if (pending.empty()) {
      worker.busy = false;
      lock.unlock();
      look_out_for([this] { return pending_count > 0; });
      lock.lock();
    }
  }
}

void ComputeUnits::Shared::start(const std::shared_ptr<Shared>& self, std::size_t unit) {
  workers.push_back(std::make_unique<Worker>());
  Worker* worker = workers.back().get();
  worker->unit = unit;
  using Body = std::pair<std::shared_ptr<Shared>, Worker*>;
  auto body = std::make_unique<Body>(self, worker);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  const int status = pthread_create(
      &worker->thread, &attributes,
      [](void* argument) -> void* {
        const std::unique_ptr<Body> own(static_cast<Body*>(argument));
        own->first->work(*own->second);
        return nullptr;
      },
      body.get());
  pthread_attr_destroy(&attributes);
  if (status != 0) {
    workers.pop_back();
    throw Refusal(EAGAIN, "cannot start a thread for every compute unit");
  }
  body.release();
}

ComputeUnits::ComputeUnits(std::size_t count, Execute execute)
    : shared_(std::make_shared<Shared>()) {
  shared_->execute = std::move(execute);
  for (std::size_t unit = 0; unit < count; ++unit) shared_->start(shared_, unit);
  shared_->start(shared_, copy_engine);
}

ComputeUnits::~ComputeUnits() {
  std::vector<pthread_t> idle;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->closing = true;
    for (const auto& worker : shared_->workers) {
      worker->wake.notify_one();
      if (worker->busy) {
        pthread_detach(worker->thread);
      } else {
        idle.push_back(worker->thread);
      }
    }
  }
  for (const pthread_t thread : idle) pthread_join(thread, nullptr);
}

void ComputeUnits::submit(Command command) {
  const std::lock_guard lock(shared_->mutex);
  command.set_state(ERT_CMD_STATE_QUEUED);
  command.queued_ns = now_ns();
  const auto allowed = command.allowed;
  shared_->pending.push_back(std::move(command));
  ++shared_->pending_count;
  for (const auto& worker : shared_->workers) {
    if (worker->busy || !allowed[worker->unit]) continue;
    worker->busy = true;
    worker->wake.notify_one();
    return;
  }
}

bool ComputeUnits::wait_for_end(int timeout_ms) {
  const auto some_ended = [this] { return shared_->ended > 0; };
  look_out_for(some_ended);
  std::unique_lock lock(shared_->mutex);
  if (timeout_ms < 0) {
    shared_->ended_one.wait(lock, some_ended);
  } else if (!shared_->ended_one.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                          some_ended)) {
    return false;
  }
  --shared_->ended;
  return true;
}

}  // namespace dovetail::card
