"""Pictures of episodes: the policy and the value over the rendered frame, saliency, videos and screenshots."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.visualize.episode_frames import EpisodeFrames as EpisodeFrames, FrameInfo as FrameInfo
    from a3c_exp.visualize.frame import FrameComposer as FrameComposer
    from a3c_exp.visualize.screenshots import Screenshots as Screenshots, save_frames as save_frames
    from a3c_exp.visualize.video import VideoRecorder as VideoRecorder, VideoWriter as VideoWriter
