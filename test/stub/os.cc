// The operating system of a program that is linked and never run: every function that the headers of os/ declare for
// the other rooms, and none of its own. `make stub-link` links it in place of src/os/: what is missing then reaches the
// kernel past os/, or past its headers.
#include <cstdlib>

#include "penstock/os/clock.h"
#include "penstock/os/fd.h"
#include "penstock/os/file.h"
#include "penstock/os/io.h"
#include "penstock/os/log.h"
#include "penstock/os/password_hash.h"
#include "penstock/os/pipe.h"
#include "penstock/os/poller.h"
#include "penstock/os/privileges.h"
#include "penstock/os/process.h"
#include "penstock/os/random.h"
#include "penstock/os/route.h"
#include "penstock/os/sandbox.h"
#include "penstock/os/service_manager.h"
#include "penstock/os/socket.h"
#include "penstock/os/terminal.h"
#include "penstock/os/thread.h"
#include "penstock/os/timers.h"
#include "penstock/os/udp.h"
#include "penstock/os/unix_socket.h"
#include "penstock/os/usage.h"

namespace penstock {
namespace {

[[noreturn]] void Absent() { std::abort(); }

}  // namespace

TimePoint SteadyNow() { Absent(); }
std::chrono::milliseconds TimeOfDay() { Absent(); }
LocalTime LocalTimeAt(std::chrono::seconds) { Absent(); }
std::chrono::seconds StartOfDay(int, int, int) { Absent(); }

Fd Fd::Duplicate() const { Absent(); }
void Fd::Close() { Absent(); }

FileStamp StampOf(const std::string&) { Absent(); }
std::optional<std::string> ReadFile(const std::string&, std::size_t, std::string*, bool*) { Absent(); }
std::optional<Secret> ReadSecretFile(const std::string&, std::size_t, std::string*, bool*) { Absent(); }
std::optional<Secret> ReadPrivateFile(const std::string&, std::size_t, std::string*) { Absent(); }
bool WriteAll(int, std::string_view) { Absent(); }
std::optional<std::string> ReplaceFile(const std::string&, const std::string&, std::string_view) { Absent(); }
std::optional<std::string> RenameFile(const std::string&, const std::string&) { Absent(); }
Fd LockFolder(const std::string&, std::string*) { Absent(); }
std::optional<std::string> ExposureOf(const Fd&) { Absent(); }
std::optional<std::string> FindFiles(const std::string&, std::vector<std::string>*, std::vector<std::string>*) {
  Absent();
}

Fault FaultOfErrno(int) { Absent(); }
IoResult Receive(int, std::span<std::uint8_t>) { Absent(); }
IoResult Peek(int, std::span<std::uint8_t>) { Absent(); }
IoResult Discard(int, std::size_t) { Absent(); }
IoResult Send(int, std::span<const std::uint8_t>) { Absent(); }
IoResult SendLast(int, std::span<const std::uint8_t>) { Absent(); }
IoResult SpliceIn(int, int, std::size_t) { Absent(); }
IoResult SpliceOut(int, int, std::size_t) { Absent(); }

std::string_view Describe(LogLevel) { Absent(); }
std::string_view Describe(LogFormat) { Absent(); }
LogLine::LogLine(LogLevel level, std::string_view) : level_(level) { Absent(); }
LogLine& LogLine::Text(std::string_view, std::string_view) { Absent(); }
LogLine& LogLine::Number(std::string_view, std::uint64_t) { Absent(); }
LogLine& LogLine::Address(std::string_view, const Endpoint&) { Absent(); }
LogLine& LogLine::Seconds(std::string_view, std::chrono::nanoseconds) { Absent(); }
Log::Log(int, LogLevel level, LogFormat) : level_(level) { Absent(); }
Log::~Log() { Absent(); }
void Log::Begin() { Absent(); }
void Log::Write(const LogLine&) { Absent(); }
LogFormat Log::format() const { Absent(); }
void Log::set_format(LogFormat) { Absent(); }
std::uint64_t Log::lost() const { Absent(); }
bool LogPace::Due(std::string_view, TimePoint) { Absent(); }
void LogPace::Tell(Log&, TimePoint) { Absent(); }
std::optional<TimePoint> LogPace::next() const { Absent(); }

bool IsPasswordHash(const Secret&) { Absent(); }
std::string_view HashKind(const Secret&) { Absent(); }
bool HashMatches(const Secret&, const Secret&) { Absent(); }
std::optional<std::string> MakePasswordHash(const Secret&) { Absent(); }

std::unique_ptr<Pipe> PipePool::Lend(std::uint8_t, TimePoint) { Absent(); }
void PipePool::Return(std::unique_ptr<Pipe>, bool) { Absent(); }
std::size_t PipesOfQuota() { Absent(); }

Poller::Poller() { Absent(); }
bool Poller::Add(int, Cookie) { Absent(); }
void Poller::WatchWrites(int, Cookie) { Absent(); }
bool Poller::AddListener(int, Cookie) { Absent(); }
void Poller::Remove(int) { Absent(); }
bool Poller::AddReader(int, Cookie) { Absent(); }
int Poller::Wait(std::optional<std::chrono::nanoseconds>) { Absent(); }
Poller::Event Poller::At(int) const { Absent(); }
WakeUp::WakeUp() { Absent(); }
void WakeUp::Raise() const { Absent(); }
void WakeUp::Clear() const { Absent(); }

std::optional<std::string> BecomeUser(const std::string&) { Absent(); }
void ForbidNewPrivileges() { Absent(); }
void AllowDumps(bool) { Absent(); }

void ConfineNewThreads(SandboxMode, SandboxReport) { Absent(); }
SandboxParts ConfineProcess(const SandboxFolders&) { Absent(); }
void ConfineThread(ThreadKind) { Absent(); }

PassedSockets TakePassedSockets() { Absent(); }
ServiceManager::ServiceManager() { Absent(); }
void ServiceManager::Tell(std::string_view) const { Absent(); }

std::size_t RaiseDescriptorLimit() { Absent(); }
std::uint32_t ProcessId() { Absent(); }
void IgnoreBrokenPipes() { Absent(); }
void GiveBackBlocksFrom(std::size_t) { Absent(); }

DigestKey RandomKey() { Absent(); }
std::uint64_t RandomBits() { Absent(); }

std::optional<RouteKind> ReadRouteAnswer(std::span<const char>, std::uint32_t, std::uint32_t) { Absent(); }
RouteTable::RouteTable() { Absent(); }
RouteKind RouteTable::KindOf(const IpAddress&, const Source*) { Absent(); }

Fd Listen(const Endpoint&, std::string*) { Absent(); }
bool AdoptListener(int) { Absent(); }
bool InUse(const Endpoint&) { Absent(); }
void StopListening(int) { Absent(); }
bool ListenAgain(int) { Absent(); }
Listening ListenAlone(const Endpoint&) { Absent(); }
Accepted Accept(int) { Absent(); }
bool SteerByCpu(int, std::span<const unsigned>) { Absent(); }
void StopSteering(int) { Absent(); }
std::size_t BacklogOf(int) { Absent(); }
Connecting Connect(const Endpoint&, const Source*) { Absent(); }
Connecting ConnectUdp(const Endpoint&, const Source*) { Absent(); }
Fault BindToInterface(int, const Source&) { Absent(); }
LocalAddress LocalAddressTowards(const IpAddress&, const Source*) { Absent(); }
Fault ConnectFault(int) { Absent(); }
Endpoint LocalEndpoint(int) { Absent(); }
void SendAtOnce(int) { Absent(); }
void BoundUnsent(int, std::size_t) { Absent(); }
void ShutdownSend(int) { Absent(); }
void AbortOnClose(int) { Absent(); }
void EnableKeepAlive(int, const KeepAlive&) { Absent(); }
std::uint32_t UnsentBytes(int) { Absent(); }
std::chrono::milliseconds UnansweredFor(int) { Absent(); }
Families HostFamilies() { Absent(); }
std::vector<IpAddress> HostAddresses() { Absent(); }

Thread::Thread(const char*, std::function<void()>, ThreadKind) { Absent(); }
void Thread::Join() { Absent(); }
void Thread::Detach() { Absent(); }
void StopRequest::Raise() { Absent(); }
bool StopRequest::WaitFor(std::chrono::milliseconds) { Absent(); }
void Semaphore::Post() { Absent(); }
bool Semaphore::WaitFor(std::chrono::nanoseconds) { Absent(); }
void YieldCpu() { Absent(); }
std::vector<unsigned> UsableCpus() { Absent(); }
void StayOnCpu(unsigned) { Absent(); }

void Deadline::Disarm() { Absent(); }
DeadlineQueue::DeadlineQueue(std::chrono::milliseconds duration) : duration_(duration) { Absent(); }
DeadlineQueue::~DeadlineQueue() { Absent(); }
void DeadlineQueue::Arm(Deadline&, TimePoint) { Absent(); }
std::optional<Cookie> DeadlineQueue::Expire(TimePoint) { Absent(); }
std::optional<TimePoint> DeadlineQueue::next() const { Absent(); }

ProcessUsage ReadProcessUsage() { Absent(); }

OpenedUdp OpenUdp(const Endpoint&, const Source*) { Absent(); }
Fd KeepUdpGro(bool) { Absent(); }
Received ReceiveMany(int, std::span<mmsghdr>) { Absent(); }
Sent SendMany(int, std::span<mmsghdr>) { Absent(); }
std::size_t SegmentBytes(const msghdr&) { Absent(); }
void CutIntoSegments(msghdr&, UdpControl&, std::size_t) { Absent(); }

UnixListener UnixListener::Open(const std::string&, std::string*) { Absent(); }
UnixListener& UnixListener::operator=(UnixListener&&) noexcept { Absent(); }
void UnixListener::Remove() { Absent(); }
Fd ConnectUnix(const std::string&, std::string*) { Absent(); }

std::size_t OutputColumns() { Absent(); }
std::unique_ptr<Terminal> Terminal::Open(std::string*) { Absent(); }
Terminal::~Terminal() { Absent(); }
std::string Terminal::TakeKeys() { Absent(); }
Terminal::Signal Terminal::TakeSignal() { Absent(); }
Terminal::Size Terminal::size() const { Absent(); }
void Terminal::Draw(std::string_view) { Absent(); }

}  // namespace penstock
